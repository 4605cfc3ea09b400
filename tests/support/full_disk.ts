/** The command with an output that takes nothing. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const bin: string = fileURLToPath(new URL("../../packages/zerogate/dist/bin.js", import.meta.url));
export const noFull: string = existsSync("/dev/full") ? "" : " (skipped: there is no /dev/full)";

/** Runs the command in `folder` with stdout, stderr or both on a disk that is full. */
export async function onFullDisk(
  folder: string,
  args: readonly string[],
  full: readonly ("stdout" | "stderr")[] = ["stdout"],
): Promise<{ code: unknown; stderr: string }> {
  const device = openSync("/dev/full", "w");
  const target = (name: "stdout" | "stderr") => (full.includes(name) ? device : "pipe");
  const { CI: _, NO_COLOR: __, ZEROGATE_LOG_LEVEL: ___, ...inherited } = process.env;
  const env = { ...inherited, XDG_CACHE_HOME: join(folder, "cache") };
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: folder,
    env,
    stdio: ["ignore", target("stdout"), target("stderr")],
  });
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  closeSync(device);
  return { code, stderr };
}
