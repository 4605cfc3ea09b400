/**
 * All that a GPU machine should show of `engine-cuda`, with one command: the first look of 90 seconds, what the GPU can do, training
 * steps, decoding, PEFT on the same GPU, the whole suite. Each part is a process of its own and leaves a file in the output folder; table.md is made of all files
 * there, so parts can run in several calls.
 *
 *   node bench/gpu/run.mjs [--parts first,probe,step,decode,peft,suite] [--shape 7b] [--tokens 4096] [--device 0] [--out gpu-results]
 *
 * Needs a build; no data, no network. `scripts/pack_gpu.mjs` makes a folder for a machine without Node. ZEROGATE_PYTHON names a
 * Python with torch, transformers and peft (default: python3). Exit code 1 if a part failed, after the others ran.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gpuTable } from "./table.mjs";

const { values: options } = parseArgs({
  options: {
    parts: { type: "string", default: "first,probe,step,decode,peft,suite" },
    shape: { type: "string", default: "7b" },
    tokens: { type: "string", default: "4096" },
    device: { type: "string", default: "0" },
    out: { type: "string", default: "gpu-results" },
    // For trying all of it on the emulator.
    "suite-only": { type: "string", default: "" },
    "torch-device": { type: "string", default: "" },
  },
});
const own = {
  first: ["--tokens", options.tokens],
  suite: ["--only", options["suite-only"], "--emulator", process.env.EMU_INCLUDE ? "1" : ""],
  probe: ["--tokens", options.tokens],
  step: ["--tokens", options.tokens],
  decode: options.shape === "tiny" ? ["--prompt", "8", "--new", "4"] : [],
  peft: ["--tokens", options.tokens, "--torch-device", options["torch-device"]],
};
const parts = options.parts.split(",");
const unknown = parts.filter((part) => !(part in own));
if (unknown.length > 0) {
  throw new Error(`Cannot run the parts ${unknown.join(", ")}: ${Object.keys(own).join(", ")} are there`);
}
const out = resolve(options.out);
mkdirSync(out, { recursive: true });
for (const part of parts) {
  const begin = performance.now();
  const [script, file] = [fileURLToPath(new URL(`${part}.mjs`, import.meta.url)), join(out, `${part}.json`)];
  rmSync(file, { force: true });
  const flags = ["--shape", options.shape, "--device", options.device, "--out", file, ...own[part]];
  const { status, signal } = spawnSync(process.execPath, [script, ...flags], { stdio: "inherit" });
  console.log(`${part}: ${((performance.now() - begin) / 1000).toFixed(1)} s, ${signal ?? `exit code ${status}`}`);
  if (status !== 0) process.exitCode = 1;
}
const table = gpuTable(out, options.shape);
writeFileSync(join(out, "table.md"), table);
console.log(`\n${table}`);
