/**
 * Runs the kernels' own test (once plainly) and a fuzzer of the whole addon under AddressSanitizer and
 * UndefinedBehaviorSanitizer, at every level of this machine. With an argument it cross-compiles and emulates instead:
 *
 *   node scripts/sanitize.mjs           needs g++ with its sanitizers' libraries
 *   node scripts/sanitize.mjs arm64     needs aarch64-linux-gnu-g++ and qemu-aarch64
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { compile, findCompiler, packageFolder } from "./toolchain.mjs";

async function test(name, options, command) {
  const out = join(packageFolder, "build", `kernels_test_${name}`);
  await compile({ ...options, out, kind: "test" });
  const [program, ...args] = [...command, out];
  const { status, signal } = spawnSync(program, args, { stdio: "inherit" });
  if (status !== 0) throw new Error(`Cannot pass ${name}: the test ended with ${status ?? signal}`);
  process.stdout.write(`${name}: clean\n`);
}

/** Node itself is not sanitized, so the libraries are loaded before it. What Node keeps until its end is no leak of ours. */
async function fuzz(compiler, extra) {
  const out = join(packageFolder, "build", "sanitized.node");
  await compile({ compiler, extra, out });
  const library = (name) => execFileSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
  const env = {
    ...process.env,
    ASAN_OPTIONS: "detect_leaks=0",
    LD_PRELOAD: `${library("libasan.so")} ${library("libubsan.so")}`,
  };
  const script = join(packageFolder, "test", "fuzz_addon.mjs");
  const { status, signal } = spawnSync(process.execPath, [script, out], { stdio: "inherit", env });
  if (status !== 0) throw new Error(`Cannot pass the fuzzer: it ended with ${status ?? signal}`);
  process.stdout.write("fuzzed addon: clean\n");
}

await mkdir(join(packageFolder, "build"), { recursive: true });
if (process.argv[2] === "arm64") {
  const options = { compiler: "aarch64-linux-gnu-g++", architecture: "arm64", extra: ["-static"] };
  await test("arm64", options, ["qemu-aarch64"]);
} else {
  const compiler = await findCompiler();
  if (!compiler) throw new Error("Cannot compile: no C++ compiler (c++, g++ or clang++) was found");
  await test("plain", { compiler }, []);
  // The checked forms of memcpy and its like would hide their faults from AddressSanitizer.
  const checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-U_FORTIFY_SOURCE"];
  const flags = ["-O1", "-g", "-fno-omit-frame-pointer", ...checks];
  await test("sanitized", { compiler, extra: flags }, []);
  await fuzz(compiler, flags);
}
