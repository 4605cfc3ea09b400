/**
 * What several hosts cost: two hosts in network namespaces on this machine (root), Open MPI over TCP between them. Needs a build.
 *
 *   node bench/cluster.mjs [--sums 30] [--steps 3]
 *
 * 1. The sum of a step of the paper's adapter on a 7 B base: 1,229,760 parameters, 9.84 MB.
 * 2. The sum of a step at the 135 M shape (28 adapted layers, 10 prompts), beside the time of such a step (8 cells of 512
 *    tokens) on this machine alone: what a second host adds to a step.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { adapterLayout, initAdapter } from "../packages/core/dist/index.js";
import { loadWeights, readModelConfig } from "../packages/core/dist/node.js";
import { openCommunicator } from "../packages/mpi/dist/index.js";
import { openDevices } from "../packages/workers/dist/index.js";
import { adaptedLayers, makeModel, median } from "./cpu_model.mjs";

const { values } = parseArgs({
  options: {
    sums: { type: "string", default: "30" },
    steps: { type: "string", default: "3" },
    rank: { type: "string" }, // set for the ranks that this script launches: parameters of a sum
  },
});
const PAPER = 1_229_760;
const CELLS = 8;
const LENGTH = 512;
const folder = mkdtempSync(join(tmpdir(), "zerogate-bench-cluster-"));
const bridge = "zgbenchb";
const hosts = [1, 2].map((i) => ({ name: `zgbench${i}`, address: `10.199.0.${i}`, port: `p${i}` }));

function run(command, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}\n${stdout}${stderr}`);
  return stdout;
}
const ip = (...args) => run("ip", args);

function openHosts() {
  ip("netns", "add", bridge);
  ip("-n", bridge, "link", "add", "br0", "type", "bridge");
  ip("-n", bridge, "link", "set", "br0", "up");
  for (const { name, address, port } of hosts) {
    ip("netns", "add", name);
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name);
    ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    ip("-n", name, "link", "set", "eth0", "up");
    ip("-n", bridge, "link", "set", port, "master", "br0");
    ip("-n", bridge, "link", "set", port, "up");
  }
  const onHost = join(folder, "on_host");
  const mounts = 'hostname "$H"; mount -t tmpfs tmpfs /dev/shm; exec "$@"';
  const enter = `exec ip netns exec "$H" unshare --uts --ipc --mount sh -c '${mounts}' sh "$@"`;
  writeFileSync(onHost, `#!/bin/sh\nexport H="$1"; shift\n${enter}\n`, { mode: 0o755 });
  const agent = join(folder, "agent");
  const skip = 'while [ "${1#-}" != "$1" ]; do shift; done';
  const tail = 'a=$1; shift; exec "$(dirname "$0")/on_host" "zgbench${a##*.}" sh -c "$*"';
  writeFileSync(agent, `#!/bin/sh\n${skip}\n${tail}\n`, { mode: 0o755 });
  const list = join(folder, "hosts");
  writeFileSync(list, hosts.map(({ address }) => `${address} slots=1\n`).join(""));
  const net = "10.199.0.0/24";
  const settings = { plm_rsh_agent: agent, btl_tcp_if_include: net, oob_tcp_if_include: net, orte_tmpdir_base: folder };
  const mca = Object.entries(settings).flatMap(([name, value]) => ["--mca", name, value]);
  const root = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  const place = ["--hostfile", list, "-np", "2", "--map-by", "ppr:1:node", "--bind-to", "none"];
  return (...args) =>
    run(
      onHost,
      [hosts[0].name, "mpirun", ...place, ...mca, process.execPath, fileURLToPath(import.meta.url), ...args],
      root,
    );
}

function closeHosts() {
  for (const name of [...hosts.map((host) => host.name), bridge]) spawnSync("ip", ["netns", "del", name]);
  rmSync(folder, { recursive: true, force: true });
}

/** One rank: sums as a run makes them, with the wait for the others before each. */
async function sums(parameters) {
  const communicator = await openCommunicator({ kind: "mpi", startLimitMs: 60_000 });
  const numbers = new BigInt64Array(new SharedArrayBuffer(8 * parameters));
  const times = [];
  for (let i = -5; i < Number(values.sums); i++) {
    const begin = performance.now();
    await communicator.sum(numbers, { phase: `sum ${i}`, limitMs: 60_000 });
    if (i >= 0) times.push(performance.now() - begin);
  }
  if (communicator.rank === 0) console.log(JSON.stringify({ medianMs: median(times), minMs: Math.min(...times) }));
  await communicator.close();
}

/** Median time of a step at the 135 M shape on all cores of this machine. */
async function stepTime() {
  const base = await makeModel("135m", join(tmpdir(), "zerogate-bench-135m"));
  const config = await readModelConfig(base);
  const weights = await loadWeights(base, config, { weightDtypes: ["bf16"], mapFiles: true });
  const shape = {
    promptLength: 10,
    adaptedLayers: adaptedLayers["135m"],
    gateSharing: "scalar",
    gateActivation: "none",
  };
  const layout = adapterLayout(shape, config);
  const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  params.set(initAdapter(layout, 1));
  const train = {
    ids: Int32Array.from({ length: CELLS * LENGTH }, (_, t) => 3 + ((t * 7919) % (config.vocabSize - 3))),
    target: new Uint8Array(CELLS * LENGTH).fill(1),
    offsets: Float64Array.from({ length: CELLS + 1 }, (_, i) => i * LENGTH),
    hash: "",
  };
  train.target.forEach((_, t) => {
    if (t % LENGTH === 0) train.target[t] = 0;
  });
  const module = new URL("../packages/engine-cpu/dist/index.js", import.meta.url).href;
  const setup = { engine: { module, options: { threads: 1 } }, config, weights, layout, params, tokens: { train } };
  const pool = await openDevices({ workers: cpus().length, setup, maxCells: CELLS });
  const times = [];
  const cells = Array.from({ length: CELLS }, (_, cell) => [cell]);
  for (let step = -1; step < Number(values.steps); step++) {
    const begin = performance.now();
    await pool.runStep({ step: step + 1, cells, scale: 1 / (CELLS * (LENGTH - 1)), version: step + 1 });
    if (step >= 0) times.push(performance.now() - begin);
  }
  await pool.close();
  return { stepMs: median(times), parameters: layout.length };
}

if (values.rank !== undefined) {
  await sums(Number(values.rank));
} else {
  try {
    const onBoth = openHosts();
    const { stepMs, parameters } = await stepTime();
    console.log(`${cpus()[0].model}, ${cpus().length} cores`);
    for (const count of [PAPER, parameters]) {
      const text = onBoth("--rank", String(count), "--sums", values.sums);
      const { medianMs, minMs } = JSON.parse(text.split("\n").find((line) => line.startsWith("{")));
      const size = `${count} parameters, ${((8 * count) / 1e6).toFixed(2)} MB`;
      console.log(`sum of ${size}: median ${medianMs.toFixed(1)} ms, best ${minMs.toFixed(1)} ms`);
      if (count === parameters) {
        const share = ((100 * medianMs) / stepMs).toFixed(2);
        console.log(
          `a step of ${CELLS} × ${LENGTH} tokens at 135 M: ${stepMs.toFixed(0)} ms, of which a sum is ${share} %`,
        );
      }
    }
  } finally {
    closeHosts();
  }
}
