/**
 * Packs every package as it would be published, and lets publint and "Are the types wrong?" judge the tarballs: entries that
 * do not resolve, types that do not fit, files that are left out. Needs a build. `pnpm run packages`
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "zerogate-packages-"));

/** Runs a command of the workspace; its output if it fails. */
function problemOf(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  return status === 0 ? undefined : `${command} ${args.join(" ")}: ${error?.message ?? ""}\n${stdout}${stderr}`;
}

try {
  const problems = [];
  for (const name of readdirSync(join(root, "packages"))) {
    const packageFolder = join(root, "packages", name);
    const { version } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"));
    const packed = problemOf("pnpm", ["pack", "--pack-destination", folder], packageFolder);
    const tarball = join(folder, `${name === "zerogate" ? name : `zerogate-${name}`}-${version}.tgz`);
    const judged = packed
      ? [packed]
      : [
          problemOf("publint", ["run", tarball, "--strict"], root),
          problemOf("attw", [tarball, "--profile", "esm-only"], root),
        ];
    const found = judged.filter((problem) => problem !== undefined);
    console.log(found.length === 0 ? `${name} ${version}: good` : `${name} ${version}:\n${found.join("\n")}`);
    problems.push(...found);
  }
  process.exitCode = problems.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
