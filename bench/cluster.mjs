/**
 * What several hosts cost: two hosts in network namespaces on this machine (root), Open MPI over TCP between them. Needs a
 * build and ../shared/data.
 *
 *   node bench/cluster.mjs [--sums 30] [--rounds 3] [--steps 5] [--batch 32] [--cell 512] [--compute bf16]
 *
 * 1. The sum of a step of the paper's adapter on a 7 B base: 1,229,760 parameters, 9.84 MB.
 * 2. Whole steps of `zerogate train` at the 135 M shape (28 adapted layers, 10 prompts, Alpaca records), on the same two cores:
 *    one process with two workers against two hosts with one each, in turn. All runs take the same steps, so a step is compared
 *    with itself; the first one of each run, which warms up and measures the hosts' speeds, is left out.
 *
 * Bounds: a sum within 15 ms, a second host within 3 % of a step. The last line of the output is the second; nothing else may
 * run beside it. Of the steps there are 2 x rounds x steps, 6 s each on 2 cores: all of it takes about 5 minutes.
 */
import { cpSync, linkSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openCommunicator } from "../packages/mpi/dist/index.js";
import { openHosts, run } from "./cluster_hosts.mjs";
import { adaptedLayers, loadSamples, makeModel, median, shared } from "./cpu_model.mjs";

const { values } = parseArgs({
  options: {
    sums: { type: "string", default: "30" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "5" },
    batch: { type: "string", default: "32" },
    cell: { type: "string", default: "512" },
    compute: { type: "string", default: "bf16" },
    rank: { type: "string" }, // set for the ranks that this script launches: parameters of a sum
  },
});
const PAPER = 1_229_760;
const zerogate = fileURLToPath(new URL("../packages/zerogate/dist/bin.js", import.meta.url));

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

/** The base with a tokenizer beside it, and the flags of a run of n steps on it. */
async function prepare(folder) {
  const weights = await makeModel("135m", join(tmpdir(), "zerogate-bench-135m"));
  const base = join(folder, "base");
  const count = Number(values.batch) * Number(values.steps);
  await loadSamples(count, weights);
  cpSync(shared("llama2-tokenizer"), base, { recursive: true });
  for (const name of ["config.json", "model.safetensors"]) linkSync(join(weights, name), join(base, name));
  const flags = {
    model: base,
    data: join(weights, `alpaca-${count}.json`),
    "val-fraction": "0",
    steps: values.steps,
    "batch-size": values.batch,
    "cell-tokens": values.cell,
    "adapter-layers": String(adaptedLayers["135m"]),
    engine: "cpu",
    compute: values.compute,
    "cache-dir": join(folder, "cache"),
    samples: "0",
  };
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
}

/** Milliseconds of each step of a run, but for its first. */
function stepTimes(out) {
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === undefined)
    .slice(1);
}

async function steps(onBoth, folder) {
  const flags = await prepare(folder);
  const rounds = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const command = (name, workers) => {
      const args = [
        zerogate,
        "train",
        ...flags,
        "--workers",
        String(workers),
        "--out",
        join(folder, `${name}-${round}`),
      ];
      return [process.execPath, args];
    };
    const [program, alone] = command("alone", 2);
    run(program, alone);
    const [, both] = command("both", 1);
    onBoth(program, ...[both].flat());
    rounds.push(["alone", "both"].map((name) => stepTimes(join(folder, `${name}-${round}`))));
  }
  const hashes = readdirSync(folder)
    .filter((name) => /^(alone|both)-/.test(name))
    .map((name) => readFileSync(join(folder, name, "adapter", "adapter_model.safetensors"), "latin1"));
  if (new Set(hashes).size !== 1) throw new Error("Cannot compare: the runs ended in different adapters");
  return rounds;
}

if (values.rank !== undefined) {
  await sums(Number(values.rank));
} else {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-bench-steps-"));
  const { onBoth, close } = openHosts();
  try {
    console.log(`${cpus()[0].model}, ${cpus().length} cores`);
    const text = onBoth(
      process.execPath,
      fileURLToPath(import.meta.url),
      "--rank",
      String(PAPER),
      "--sums",
      values.sums,
    );
    const { medianMs, minMs } = JSON.parse(text.split("\n").find((line) => line.startsWith("{")));
    const size = `${PAPER} parameters, ${((8 * PAPER) / 1e6).toFixed(2)} MB`;
    console.log(`sum of ${size}: median ${medianMs.toFixed(1)} ms, best ${minMs.toFixed(1)} ms`);

    const rounds = await steps(onBoth, folder);
    const ratios = rounds.flatMap(([alone, both]) => both.map(({ stepMs }, i) => stepMs / alone[i].stepMs));
    const what = (which) =>
      ["stepMs", "computeMs", "waitMs", "reduceMs"]
        .map(
          (name) => `${name} ${median(rounds.flatMap((round) => round[which].map((line) => line[name]))).toFixed(1)}`,
        )
        .join(", ");
    console.log(`steps of ${values.batch} records at 135 M, cells of ${values.cell} tokens, medians:`);
    console.log(`  one process, 2 workers   ${what(0)}`);
    console.log(`  2 hosts of 1 worker      ${what(1)} (of rank 0)`);
    console.log(
      `  each pair of rounds: ${rounds.map((pair) => pair.map((lines) => median(lines.map((line) => line.stepMs)).toFixed(0)).join(" / ")).join(", ")} ms`,
    );
    console.log(
      `a second host costs ${(100 * (median(ratios) - 1)).toFixed(2)} % of a step (median of ${ratios.length} steps, same bits)`,
    );
  } finally {
    close();
    rmSync(folder, { recursive: true, force: true });
  }
}
