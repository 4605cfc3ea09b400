/** The Python that these tests use: `ZEROGATE_PYTHON`, else `python3`. */
import { spawnSync } from "node:child_process";

export const python: string = process.env["ZEROGATE_PYTHON"] ?? "python3";

/** The reason for a test title, or nothing where PEFT can be used. */
export const absentPython: string = whyNoPeft();

/** Importing torch takes seconds: here it is enough that it is installed. */
function whyNoPeft(): string {
  const look =
    "import importlib.util as u; print(*[n for n in ('peft', 'torch', 'transformers') if not u.find_spec(n)])";
  const { error, status, stdout, stderr } = spawnSync(python, ["-c", look], { encoding: "utf8", timeout: 60_000 });
  if (!error && status === 0 && stdout.trim() === "") return "";
  const missing = status === 0 ? `${python} has no ${stdout.trim().replaceAll(" ", ", ")}` : undefined;
  const reason = error?.message ?? missing ?? stderr.trim().split("\n").at(-1) ?? `exit code ${status}`;
  return ` (skipped: ${reason}; ZEROGATE_PYTHON names a Python with peft, torch and transformers)`;
}
