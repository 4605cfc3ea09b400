/** The Python that tests compare with: `ZEROGATE_PYTHON`, else `python3`. */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

export const python: string = process.env["ZEROGATE_PYTHON"] ?? "python3";

/** The Python of lm-evaluation-harness, which wants versions of its own: `ZEROGATE_LM_EVAL_PYTHON`, else that of all tests. */
export const lmEvalPython: string = process.env["ZEROGATE_LM_EVAL_PYTHON"] ?? python;

/** The reason for a test title, or nothing if these modules are installed; importing torch would take seconds. */
export function absentModules(...modules: readonly string[]): string {
  return absentFrom(python, "ZEROGATE_PYTHON", modules);
}

/** The same of another Python, which a variable names. */
export function absentFrom(program: string, variable: string, modules: readonly string[]): string {
  const names = modules.map((name) => `"${name}"`).join(", ");
  const look = `import importlib.util as u; print(*[n for n in (${names},) if not u.find_spec(n)])`;
  const { error, status, stdout, stderr } = spawnSync(program, ["-c", look], { encoding: "utf8", timeout: 840_000 });
  if (!error && status === 0 && stdout.trim() === "") return "";
  const missing = status === 0 ? `${program} has no ${stdout.trim().replaceAll(" ", ", ")}` : undefined;
  const reason = error?.message ?? missing ?? stderr.trim().split("\n").at(-1) ?? `exit code ${status}`;
  return ` (skipped: ${reason}; ${variable} names a Python with ${modules.join(", ")})`;
}

/** Runs a script without network; rejects if it fails. */
export async function runPython(...args: readonly string[]): Promise<void> {
  await promisify(execFile)(python, args, { env: { ...process.env, HF_HUB_OFFLINE: "1" } });
}
