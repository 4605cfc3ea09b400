/**
 * Makes wasm/kernels.wasm, which is committed: the kernels for WebAssembly with 128-bit SIMD, without a C library.
 * Needs clang++ and wasm-ld (Debian: clang, lld). With `--check` nothing is built: it fails if the committed binary was
 * made of other sources.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { packageFolder, sourceHash } from "./toolchain.mjs";

const native = join(packageFolder, "native");
const out = join(packageFolder, "wasm", "kernels.wasm");
const sources = ["simd128", "exports", "heap", "pool"].map((name) => join(native, "wasm", `${name}.cc`));

/** As in toolchain.mjs, contraction is off. `-fwrapv`: offsets are 32 bits wide here and may pass 2 GiB. */
const flags = `--target=wasm32 -O3 -msimd128 -mbulk-memory -std=c++17 -fno-exceptions -fno-rtti -fvisibility=hidden
  -ffp-contract=off -fno-math-errno -fwrapv -Wall -Wextra -Werror -Wno-unknown-pragmas -nostdlibinc`.split(/\s+/);
const headers = ["-isystem", join(native, "wasm", "include"), "-I", join(native, "include")];
/** The stack lies first, so that an overflow traps. One page less than 4 GiB: an end of memory still has an address. */
const linking = `-nostdlib -fuse-ld=lld -Wl,--no-entry -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=65536
  -Wl,--max-memory=${2 ** 32 - 2 ** 16}`.split(/\s+/);

const digest = await sourceHash(
  ["include", "kernels", "isa", "wasm", "wasm/include"],
  JSON.stringify([flags, linking]),
);
/** A custom section (id 0) at the end of the module, which engines pass over: `sources` and the digest of the sources. */
function withDigest(module) {
  const section = Buffer.from(`\x07sources${digest}`);
  return Buffer.concat([module, Buffer.of(0, section.length), section]);
}

if (process.argv.includes("--check")) {
  if ((await readFile(out)).subarray(-digest.length).toString() === digest) process.exit(0);
  process.stderr.write(`${out} was made of other sources: run node scripts/wasm.mjs\n`);
  process.exit(1);
}

await mkdir(dirname(out), { recursive: true });
await promisify(execFile)("clang++", [...flags, ...headers, ...sources, ...linking, "-o", out]);
const made = withDigest(await readFile(out));
await writeFile(out, made);
await chmod(out, 0o644); // the linker makes it executable
process.stdout.write(`${out}: ${made.length} bytes\n`);
