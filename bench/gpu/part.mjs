/** Options of all parts, and the place of their results. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

/** @param own names and defaults besides `--shape`, `--device` and `--out`. */
export function partOptions(own = {}) {
  const defaults = { shape: "7b", device: "0", out: "", ...own };
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, { type: "string", default: value }]),
  );
  return { ...parseArgs({ options }).values };
}

/** To `--out`, or to the terminal. */
export function writeResult({ out }, result) {
  if (out) writeFileSync(out, `${JSON.stringify(result, null, 1)}\n`);
  else console.log(JSON.stringify(result));
}
