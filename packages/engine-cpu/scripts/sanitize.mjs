/**
 * Runs the kernels' own test under AddressSanitizer and UndefinedBehaviorSanitizer (and once plainly), at every level of this
 * machine. With an argument it cross-compiles and emulates instead:
 *
 *   node scripts/sanitize.mjs           needs g++ or clang++ with sanitizers
 *   node scripts/sanitize.mjs arm64     needs aarch64-linux-gnu-g++ and qemu-aarch64
 */
import { spawnSync } from "node:child_process";
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

await mkdir(join(packageFolder, "build"), { recursive: true });
if (process.argv[2] === "arm64") {
  const options = { compiler: "aarch64-linux-gnu-g++", architecture: "arm64", extra: ["-static"] };
  await test("arm64", options, ["qemu-aarch64"]);
} else {
  const compiler = await findCompiler();
  if (!compiler) throw new Error("Cannot compile: no C++ compiler (c++, g++ or clang++) was found");
  await test("plain", { compiler }, []);
  const flags = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  await test("sanitized", { compiler, extra: flags }, []);
}
