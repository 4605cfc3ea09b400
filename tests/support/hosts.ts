/**
 * Hosts for tests: each is a network, host name and IPC namespace of its own, with its own /dev/shm, on a bridge in one more.
 * They share the file system, as a cluster's nodes do. Needs root.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMpi } from "./mpi.ts";

/** Why hosts cannot be made here; undefined where they can. */
export const noHosts: string | undefined = reason();

export interface Hosts {
  /** Command and arguments that run mpirun on the first of these hosts (from 1), one rank on each. */
  mpirun(hosts: readonly number[]): readonly [command: string, args: readonly string[]];
  /** Bytes that a host has sent and received over its link since it was made. */
  bytes(host: number): { readonly sent: number; readonly received: number };
  /** Pulls the cable of a host. */
  cut(host: number): void;
  close(): void;
}

/** @param network of this test file alone: files run side by side */
export function openHosts(count: number, network: number): Hosts {
  const prefix = `zg${process.pid}h`;
  const bridge = `zg${process.pid}b`;
  const address = (host: number) => `10.${network}.0.${host}`;
  const folder = mkdtempSync(join(tmpdir(), "zerogate-hosts-"));
  const ip = (...args: string[]) => void execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  ip("netns", "add", bridge);
  ip("-n", bridge, "link", "add", "br0", "type", "bridge");
  ip("-n", bridge, "link", "set", "br0", "up");
  for (const host of numbers) {
    const name = `${prefix}${host}`;
    ip("netns", "add", name);
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", bridge, "link", "add", `p${host}`, "type", "veth", "peer", "name", "eth0", "netns", name);
    ip("-n", name, "addr", "add", `${address(host)}/24`, "dev", "eth0");
    ip("-n", name, "link", "set", "eth0", "up");
    ip("-n", bridge, "link", "set", `p${host}`, "master", "br0");
    ip("-n", bridge, "link", "set", `p${host}`, "up");
  }
  const onHost = program(
    join(folder, "on_host"),
    `export H="$1"; shift
exec ip netns exec "$H" unshare --uts --ipc --mount \
  sh -c 'hostname "$H"; mount -t tmpfs tmpfs /dev/shm; exec "$@"' sh "$@"`,
  );
  // In the place of ssh: options, an address, a command line.
  const agent = program(
    join(folder, "agent"),
    `while [ "\${1#-}" != "$1" ]; do shift; done
a=$1; shift
exec '${onHost}' "${prefix}\${a##*.}" sh -c "$*"`,
  );
  let files = 0;
  return {
    mpirun(hosts) {
      const file = join(folder, `hosts-${files++}`);
      writeFileSync(file, hosts.map((host) => `${address(host)} slots=1\n`).join(""));
      const net = `10.${network}.0.0/24`;
      const settings = {
        plm_rsh_agent: agent,
        btl_tcp_if_include: net,
        oob_tcp_if_include: net,
        mpi_yield_when_idle: "1",
        oob_tcp_keepalive_time: "3",
        oob_tcp_keepalive_intvl: "1",
        oob_tcp_keepalive_probes: "3",
      };
      const mca = Object.entries(settings).flatMap(([name, value]) => ["--mca", name, value]);
      const session = ["--mca", "orte_tmpdir_base", folder];
      const place = ["--hostfile", file, "-np", String(hosts.length), "--bind-to", "none"];
      return [
        onHost,
        [`${prefix}${hosts[0]}`, openMpi ?? "mpirun", ...place, ...mca, ...session, "-x", "XDG_CACHE_HOME"],
      ];
    },
    bytes(host) {
      const text = execFileSync("ip", ["-n", `${prefix}${host}`, "-s", "-j", "link", "show", "eth0"], {
        encoding: "utf8",
      });
      const [link] = JSON.parse(text) as { stats64: { rx: { bytes: number }; tx: { bytes: number } } }[];
      return { sent: link?.stats64.tx.bytes ?? 0, received: link?.stats64.rx.bytes ?? 0 };
    },
    cut: (host) => ip("-n", bridge, "link", "set", `p${host}`, "down"),
    close() {
      for (const host of numbers) {
        // Daemons of a host that was cut off linger; only processes of this namespace are listed.
        const pids = execFileSync("ip", ["netns", "pids", `${prefix}${host}`], { encoding: "utf8" });
        for (const pid of pids.split("\n").filter(Boolean)) {
          try {
            process.kill(Number(pid), "SIGKILL");
          } catch {} // it has ended meanwhile
        }
        ip("netns", "del", `${prefix}${host}`);
      }
      ip("netns", "del", bridge);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Writes a shell program and returns its path. */
function program(path: string, text: string): string {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

function reason(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const probe = `zg${process.pid}probe`;
  try {
    execFileSync("ip", ["netns", "add", probe], { stdio: "ignore" });
    execFileSync("ip", ["netns", "del", probe], { stdio: "ignore" });
    return undefined;
  } catch {
    return "network namespaces cannot be made here";
  }
}
