/** Two hosts in network namespaces on this machine, for the benchmarks of several hosts. Needs root and Open MPI. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const bridge = "zgbenchb";
const hosts = [1, 2].map((i) => ({ name: `zgbench${i}`, address: `10.199.0.${i}`, port: `p${i}` }));

export function run(command, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}\n${stdout}${stderr}`);
  return stdout;
}
const ip = (...args) => run("ip", args);

/**
 * Makes the hosts. Returns a function that runs a command on both, one rank each, and returns its stdout; and one that
 * removes them.
 */
export function openHosts() {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-bench-cluster-"));
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
  const onBoth = (...command) => run(onHost, [hosts[0].name, "mpirun", ...place, ...mca, ...command], root);
  const close = () => {
    for (const name of [...hosts.map((host) => host.name), bridge]) spawnSync("ip", ["netns", "del", name]);
    rmSync(folder, { recursive: true, force: true });
  };
  return { onBoth, close };
}
