/** Makes the binaries that a release ships: for this machine, and for linux-arm64 if its cross compiler is installed. */
import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { compile, findCompiler, packageFolder } from "./toolchain.mjs";

const targets = [{ platform: process.platform, architecture: process.arch, compiler: await findCompiler() }];
if (process.platform === "linux" && process.arch === "x64") {
  targets.push({ platform: "linux", architecture: "arm64", compiler: "aarch64-linux-gnu-g++" });
}
for (const { platform, architecture, compiler } of targets) {
  const name = `${platform}-${architecture}`;
  if (!compiler || spawnSync(compiler, ["--version"]).status !== 0) {
    process.stdout.write(`${name}: left out, ${compiler ?? "a C++ compiler"} is not installed\n`);
    continue;
  }
  const folder = join(packageFolder, "prebuilds", name);
  await mkdir(folder, { recursive: true });
  await compile({ compiler, architecture, out: join(folder, "zerogate_cpu.node"), extra: ["-static-libgcc"] });
  process.stdout.write(`${name}: ${join(folder, "zerogate_cpu.node")}\n`);
}
