/**
 * Compiles all kernels for the GPUs that people have, with the NVRTC of this machine; no GPU is needed. Needs a build.
 *
 *   node packages/engine-cuda/scripts/prebuild.mjs [80,86,89,90,100,120]
 *
 * They come into `prebuilt/`, which a package takes along; engines use them if sources and driver fit (src/prebuilt.ts).
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withHash } from "../dist/module_cache.js";
import { openNvrtc } from "../dist/native/nvrtc.js";
import { prebuiltFolder, setFiles, setFolder } from "../dist/prebuilt.js";

const NEWEST_CUDA = 13;
const wanted = (process.argv[2] ?? "80,86,89,90,100,120").split(",").map(Number);
const nvrtc = openNvrtc(NEWEST_CUDA);
const root = prebuiltFolder({});
rmSync(join(root, nvrtc.version), { recursive: true, force: true });
for (const target of wanted) {
  if (!nvrtc.architectures.includes(target)) {
    process.stdout.write(`sm_${target}: left out, NVRTC ${nvrtc.version} does not know it\n`);
    continue;
  }
  const folder = setFolder(root, nvrtc.version, target);
  mkdirSync(folder, { recursive: true });
  let bytes = 0;
  for (const { name, source, options } of setFiles(nvrtc.version, target)) {
    const cubin = nvrtc.compile(source, options);
    writeFileSync(join(folder, name), withHash(cubin));
    bytes += cubin.length;
  }
  process.stdout.write(`sm_${target}: ${(bytes / 2 ** 20).toFixed(2)} MiB (NVRTC ${nvrtc.version})\n`);
}
