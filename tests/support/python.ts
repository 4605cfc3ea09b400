/** The Python that tests compare with: `ZEROGATE_PYTHON`, else `python3`. */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

export const python: string = process.env["ZEROGATE_PYTHON"] ?? "python3";

/** The reason for a test title, or nothing where these modules can be imported. */
export function absentModules(...modules: readonly string[]): string {
  const { error, status, stderr } = spawnSync(python, ["-c", `import ${modules.join(", ")}`], {
    encoding: "utf8",
    timeout: 60_000,
  });
  if (!error && status === 0) return "";
  const reason = error?.message ?? stderr.trim().split("\n").at(-1) ?? `exit code ${status}`;
  return ` (skipped: ${reason}; ZEROGATE_PYTHON names a Python with ${modules.join(", ")})`;
}

/** Runs a script without network; rejects where it fails. */
export async function runPython(...args: readonly string[]): Promise<void> {
  await promisify(execFile)(python, args, { env: { ...process.env, HF_HUB_OFFLINE: "1" } });
}
