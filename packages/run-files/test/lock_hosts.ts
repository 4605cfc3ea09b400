/** Processes with host names of their own, which cannot see each other, on the lock of one run directory. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach } from "vitest";

export const EVERY_MS = 50;
export const DEAD_AFTER_MS = 2000;
export const script = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));
const namespaces = process.getuid?.() === 0 ? ["--uts"] : ["--user", "--map-root-user", "--uts"];
export const unable: string | undefined = (() => {
  try {
    execFileSync("unshare", [...namespaces, "hostname", "probe"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "no namespaces for host names here";
  }
})();

/** The run directory of one test. */
export let run: string;
let children: ChildProcess[] = [];
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-lock-"));
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  rmSync(run, { recursive: true, force: true });
});

/** A program on a host of its own. */
export function onHost(host: string, ...command: string[]) {
  const inside = ["sh", "-c", 'hostname "$0"; exec "$@"', host, process.execPath, ...command];
  const child = spawn("unshare", [...namespaces, ...inside], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, text: lines.join("\n") }));
  const saysThat = async (what: string) => {
    while (!lines.some((line) => line.includes(what))) {
      if (child.exitCode !== null) throw new Error(`${host} ended without "${what}":\n${lines.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { child, ended, saysThat };
}
export const holder = (host: string) =>
  onHost(host, script("lock_holder.mjs"), run, host, String(EVERY_MS), String(DEAD_AFTER_MS));

export const linesOf = (host: string) =>
  readFileSync(join(run, "lines"), "utf8")
    .split("\n")
    .filter((line) => line === host).length;
