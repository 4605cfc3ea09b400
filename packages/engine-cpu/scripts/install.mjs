/**
 * Runs when the package is installed: uses the binary shipped for this machine, else compiles one, else says in one line
 * that slower engines will run. Never fails an installation.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { compile, findCompiler, packageFolder } from "./toolchain.mjs";

const say = (text) => process.stdout.write(`@zerogate/engine-cpu: ${text}\n`);
const prebuilt = join(packageFolder, "prebuilds", `${process.platform}-${process.arch}`, "zerogate_cpu.node");
const built = join(packageFolder, "build", "zerogate_cpu.node");

function loads(path) {
  try {
    createRequire(import.meta.url)(path);
    return true;
  } catch {
    return false;
  }
}

try {
  if (existsSync(prebuilt) && loads(prebuilt)) {
    say("the shipped binary runs on this machine");
  } else {
    const compiler = await findCompiler();
    if (!compiler) throw new Error("no C++ compiler (c++, g++ or clang++) was found");
    const isNew = await compile({ compiler, out: built });
    if (!loads(built)) throw new Error("the compiled binary does not load");
    say(isNew ? `compiled with ${compiler}` : "the compiled binary is up to date");
  }
} catch (error) {
  const reason = String(error.stderr ?? error.message)
    .trim()
    .split("\n")[0];
  say(`no native kernels (${reason}); the slower WebAssembly kernels run instead`);
}
