/** `zerogate cluster init slurm|kubernetes|mpirun`: writes launch files that can be used as they are. */
import { existsSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { join, resolve } from "node:path";
import { InputError } from "@zerogate/core";
import { shellQuoted } from "@zerogate/core/light";
import { makeFolder, writeNewFile } from "@zerogate/core/node";
import { MAX_HOSTS } from "@zerogate/run-config";
import { type Launch, type LauncherName, launcherNames, launchFiles } from "@zerogate/trainer/command";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { numberFlag } from "./flags.ts";

export interface ClusterInitFlags {
  readonly config: string;
  readonly run: string;
  readonly hosts?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export async function clusterInitCommand(
  launcher: string,
  flags: ClusterInitFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const attempt = "Cannot write launch files";
  const problems: string[] = [];
  const hosts = numberFlag("--hosts", flags.hosts, 2, { min: 1, max: MAX_HOSTS, whole: true }, problems);
  if (!isLauncher(launcher)) problems.push(`"${launcher}" is no launcher: use ${launcherNames.join(", ")}`);
  for (const [name, path] of Object.entries({ config: flags.config, run: flags.run })) {
    if (/['\n]/.test(path)) problems.push(`--${name} ${path} holds a quote or a line break: use another path`);
  }
  if (problems.length > 0 || !isLauncher(launcher)) throw new InputError(attempt, problems);
  const folder = resolve(flags.out ?? ".");
  const launch: Launch = { config: resolve(flags.config), run: resolve(flags.run), hosts };
  const files = launchFiles(launcher, launch);
  const there = files.filter(({ name }) => existsSync(join(folder, name)));
  if (there.length > 0) {
    const names = there.map(({ name }) => `${join(folder, name)} is there already: remove it or give another --out`);
    throw new InputError(attempt, names);
  }
  await makeFolder(folder);
  for (const { name, text, isProgram } of files) {
    await writeNewFile(join(folder, name), text);
    if (isProgram) await chmod(join(folder, name), 0o755);
  }
  const written = files.map(({ name }) => join(folder, name));
  const next = nextLine(launcher, folder);
  if (flags.json) printJson(context, { written, next });
  else context.stdout.write(`${written.map((path) => `wrote ${path}\n`).join("")}Next:\n  ${next}\n`);
  return 0;
}

function isLauncher(name: string): name is LauncherName {
  return (launcherNames as readonly string[]).includes(name);
}

function nextLine(launcher: LauncherName, folder: string): string {
  const path = (name: string) => shellQuoted(join(folder, name));
  switch (launcher) {
    case "mpirun":
      return `name your hosts in ${path("hosts")}, then: ${path("train.sh")}`;
    case "slurm":
      return `sbatch ${path("train.sbatch")}`;
    case "kubernetes":
      return `name your image and volume in ${path("mpijob.yaml")}, then: kubectl apply -f ${path("mpijob.yaml")}`;
  }
}
