/** What happens if TensorFlow.js is absent, broken, or older than Node. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import util, { promisify } from "node:util";
import { InputError } from "@zerogate/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createEngine } from "./engine.ts";
import { findPackages } from "./packages.ts";
import { tfjsTraits } from "./traits.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-tfjs-"));
  vi.stubEnv("ZEROGATE_TFJS", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Nobody's machine of tests has tfjs-node-gpu: what is written here is the one that is found. */
function install(source: string): string {
  const place = join(folder, "node_modules/@tensorflow/tfjs-node-gpu");
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "index.js"), source);
  return join(place, "index.js");
}

test("a backend that is not installed is named with the line that installs it", async () => {
  const line = "it needs @tensorflow/tfjs-node-gpu: npm install @tensorflow/tfjs-node-gpu@4.22.0";
  expect(tfjsTraits("node-gpu").missing).toBe(line);
  const opened = createEngine({ backend: "node-gpu" });
  await expect(opened).rejects.toBeInstanceOf(InputError);
  await expect(opened).rejects.toThrow(`Cannot use the engine tfjs:node-gpu: ${line}`);
});

test("without TensorFlow.js each backend names all that it needs", async () => {
  // The built package, at a place that has none of ours beside it.
  const place = join(folder, "node_modules/@zerogate");
  const own = fileURLToPath(new URL("..", import.meta.url));
  mkdirSync(join(place, "engine-tfjs"), { recursive: true });
  for (const name of ["package.json", "dist"]) {
    cpSync(join(own, name), join(place, "engine-tfjs", name), { recursive: true });
  }
  symlinkSync(join(own, "../core"), join(place, "core"));
  const program = `import { createEngine, tfjsBackends } from ${JSON.stringify(pathToFileURL(join(place, "engine-tfjs/dist/index.js")).href)};
    for (const backend of tfjsBackends) await createEngine({ backend }).catch((error) => console.log(error.name + ": " + error.message));`;
  const { ZEROGATE_TFJS: _, NODE_PATH: __, ...env } = process.env;
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { cwd: folder, env });
  expect((await run).stdout.trimEnd().split("\n")).toEqual([
    "InputError: Cannot use the engine tfjs:node-gpu: it needs @tensorflow/tfjs-node-gpu: npm install @tensorflow/tfjs-node-gpu@4.22.0",
    "InputError: Cannot use the engine tfjs:node: it needs @tensorflow/tfjs-node: npm install @tensorflow/tfjs-node@4.22.0",
    "InputError: Cannot use the engine tfjs:wasm: it needs @tensorflow/tfjs-core, @tensorflow/tfjs-backend-wasm: npm install @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0",
    "InputError: Cannot use the engine tfjs:webgpu: it needs webgpu, @tensorflow/tfjs-core, @tensorflow/tfjs-backend-webgpu: npm install webgpu@0.6.2 @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-webgpu@4.22.0",
    "InputError: Cannot use the engine tfjs:cpu: it needs @tensorflow/tfjs-core, @tensorflow/tfjs-backend-cpu: npm install @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0",
  ]);
});

test("packages are found in the folder that ZEROGATE_TFJS names, and beside this package", () => {
  const path = install("");
  expect(findPackages("node-gpu")).toEqual([path]);
  expect(tfjsTraits("node-gpu").missing).toBeUndefined();
  expect(findPackages("cpu")).toHaveLength(2);
});

test("a package that does not load says why; what Node 23 took from node:util is there for it", async () => {
  const old = util as { isNullOrUndefined?: unknown; isArray?: unknown };
  const { isNullOrUndefined, isArray } = old;
  delete old.isNullOrUndefined;
  delete old.isArray;
  try {
    const path = install(
      'const util = require("util"); throw new Error([util.isNullOrUndefined(null), util.isNullOrUndefined(0), util.isArray([])]);',
    );
    await expect(createEngine({ backend: "node-gpu" })).rejects.toThrow(
      `Cannot use the engine tfjs:node-gpu: ${path} does not load: true,false,true`,
    );
  } finally {
    Object.assign(old, { isNullOrUndefined, isArray });
  }
});

test("each GPU process sees one of the GPUs that we may use", () => {
  const { processEnv } = tfjsTraits("node-gpu");
  vi.stubEnv("CUDA_VISIBLE_DEVICES", undefined);
  expect(processEnv?.(1)).toEqual({ CUDA_VISIBLE_DEVICES: "1", TF_FORCE_GPU_ALLOW_GROWTH: "true" });
  vi.stubEnv("CUDA_VISIBLE_DEVICES", "3, 5");
  expect([0, 1, 2].map((device) => processEnv?.(device)["CUDA_VISIBLE_DEVICES"])).toEqual(["3", "5", ""]);
  expect(tfjsTraits("node").processEnv?.(1)).toEqual({}); // a process of its own, but any device
  expect(tfjsTraits("wasm").processEnv).toBeUndefined();
});
