/**
 * Hosts for tests: each is a network, host name and IPC namespace of its own, with its own /dev/shm, on a bridge in one more.
 * They share the file system, as a cluster's nodes do. Needs root, or user namespaces that anybody may make.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMpi, ranksAmong } from "./mpi.ts";

/** Why hosts cannot be made here; undefined if they can. */
export const noHosts: string | undefined = reason();

export interface Hosts {
  /** Command and arguments that run mpirun on the first of these hosts (from 1), one rank on each. */
  mpirun(hosts: readonly number[]): readonly [command: string, args: readonly string[]];
  /** Start of a command line that runs on a host. */
  on(host: number): readonly [command: string, ...args: string[]];
  /** Its name, which only it knows, and its address. */
  name(host: number): string;
  address(host: number): string;
  /** Bytes that a host has sent and received over its link since it was made. */
  bytes(host: number): { readonly sent: number; readonly received: number };
  /** Process ids of a host, among them those of a job that was launched elsewhere. */
  pids(host: number): number[];
  /** Process id of a rank, on any host. */
  rank(rank: number): number;
  /** Nobody but itself reaches these TCP ports of a host any more, as behind a firewall that refuses, or says nothing. */
  closePorts(host: number, first: number, last: number, how: "refused" | "dropped"): void;
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
  const place = process.getuid?.() === 0 ? undefined : userNamespace();
  const entry = place?.entry ?? [];
  const ip = (...args: string[]) =>
    execFileSync("env", [...entry, "ip", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
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
  /** From outside, or from one host to another, if one is in the user namespace already. */
  const onto = (name: string, enter: readonly string[]) =>
    program(
      join(folder, name),
      `export H="$1"; shift
exec ${enter.join(" ")} ip netns exec "$H" unshare --uts --ipc --mount \
  sh -c 'hostname "$H"; mount -t tmpfs tmpfs /dev/shm; exec "$@"' sh "$@"`,
    );
  const onHost = onto("on_host", entry);
  const fromHost = onto("from_host", []);
  // In the place of ssh: options, an address, a command line.
  const agent = program(
    join(folder, "agent"),
    `while [ "\${1#-}" != "$1" ]; do shift; done
a=$1; shift
exec '${fromHost}' "${prefix}\${a##*.}" sh -c "$*"`,
  );
  const pids = (host: number) => ip("netns", "pids", `${prefix}${host}`).split("\n").filter(Boolean).map(Number);
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
        odls_base_sigkill_timeout: "3",
        oob_tcp_keepalive_time: "3",
        oob_tcp_keepalive_intvl: "1",
        oob_tcp_keepalive_probes: "3",
      };
      const mca = Object.entries(settings).flatMap(([name, value]) => ["--mca", name, value]);
      const session = ["--mca", "orte_tmpdir_base", folder];
      const where = ["--hostfile", file, "-np", String(hosts.length), "--bind-to", "none"];
      return [
        onHost,
        [`${prefix}${hosts[0]}`, openMpi ?? "mpirun", ...where, ...mca, ...session, "-x", "XDG_CACHE_HOME"],
      ];
    },
    on: (host) => [onHost, `${prefix}${host}`],
    name: (host) => `${prefix}${host}`,
    address,
    bytes(host) {
      const text = ip("-n", `${prefix}${host}`, "-s", "-j", "link", "show", "eth0");
      const [link] = JSON.parse(text) as { stats64: { rx: { bytes: number }; tx: { bytes: number } } }[];
      return { sent: link?.stats64.tx.bytes ?? 0, received: link?.stats64.rx.bytes ?? 0 };
    },
    pids,
    rank(rank) {
      const pid = ranksAmong(numbers.flatMap(pids)).get(rank);
      if (pid === undefined) throw new Error(`rank ${rank} is on no host`);
      return pid;
    },
    closePorts(host, first, last, how) {
      const rule = (at: number, to: number, ...what: string[]) =>
        ip("-n", `${prefix}${at}`, "rule", "add", "to", address(to), "ipproto", "tcp", ...what);
      for (const other of numbers.filter((number) => number !== host)) {
        if (how === "refused") rule(other, host, "dport", `${first}-${last}`, "unreachable");
        else rule(host, other, "sport", `${first}-${last}`, "blackhole"); // no answer leaves the host
      }
    },
    cut: (host) => void ip("-n", bridge, "link", "set", `p${host}`, "down"),
    close() {
      for (const host of numbers) {
        // Daemons of a host that was cut off linger; only processes of this namespace are listed.
        for (const pid of pids(host)) {
          try {
            process.kill(pid, "SIGKILL");
          } catch {} // it has ended meanwhile
        }
        ip("netns", "del", `${prefix}${host}`);
      }
      ip("netns", "del", bridge);
      place?.holder.kill("SIGKILL");
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

/** Namespaces of one's own, in which one is root, kept by a process that sleeps; `entry` is the start of a command in them. */
function userNamespace(): { holder: ChildProcess; entry: readonly string[] } {
  const ready = "mount -t tmpfs tmpfs /run && exec sleep 600";
  const holder = spawn("unshare", ["--user", "--map-root-user", "--net", "--mount", "sh", "-c", ready], {
    stdio: "ignore",
  });
  const pid = String(holder.pid);
  const entry = ["nsenter", "--wd=.", "--preserve-credentials", "-t", pid, "--user", "--net", "--mount"];
  for (let left = 100; ; left--) {
    try {
      execFileSync(entry[0] ?? "", [...entry.slice(1), "mountpoint", "-q", "/run"], { stdio: "ignore" });
      return { holder, entry };
    } catch (error) {
      if (left === 0 || holder.exitCode !== null) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
}

function reason(): string | undefined {
  const probe = `zg${process.pid}probe`;
  const asRoot = process.getuid?.() === 0;
  const script = `ip netns add ${probe} && ip netns del ${probe}`;
  const own = ["--user", "--map-root-user", "--net", "--mount", "sh", "-c", `mount -t tmpfs tmpfs /run && ${script}`];
  try {
    execFileSync(asRoot ? "sh" : "unshare", asRoot ? ["-c", script] : own, { stdio: "ignore" });
    return undefined;
  } catch {
    return "network namespaces cannot be made here";
  }
}
