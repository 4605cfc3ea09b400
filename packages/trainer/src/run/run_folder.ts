/** The run directory: its config, and refusing what would mix two runs or overwrite something else. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { makeFolder, reason, writeFileAtomic } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { ownCommand, resolveConfig, VERSION_KEY, versions } from "@zerogate/run-config";
import { isLockName, placeProblem } from "@zerogate/run-files";
import { checkOwnNames } from "./own_names.ts";

const CONFIG = "config.json";

/** @throws InputError if `out` is in use, or cannot be made. Called before any work, so that nobody waits to hear it. */
export async function checkFolderIsFree(out: string): Promise<void> {
  const problem = await placeProblem(out);
  if (problem !== undefined) throw new InputError(`Cannot use ${out} as run directory`, `${problem}: choose another`);
  await checkOwnNames(out);
  let entries: string[];
  try {
    entries = await readdir(out);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw new InputError(`Cannot use ${out} as run directory`, reason(error));
  }
  if (entries.every(isLockName)) return; // of a start that was cut short
  const use = entries.includes(CONFIG)
    ? `it holds a run: ${ownCommand`resume ${out}`} continues it, or choose another folder`
    : "it is not empty: choose another folder";
  throw new InputError(`Cannot use ${out} as run directory`, use);
}

export async function createRunFolder(config: TrainConfig): Promise<void> {
  await makeFolder(config.out);
  await writeRunConfig(config.out, config);
}

/** Replaces the stored config. It must be whole: what a later version does by default is not what this one does. */
export async function writeRunConfig(runDir: string, config: object): Promise<void> {
  const stored = { [VERSION_KEY]: versions.zerogate, ...config };
  await writeFileAtomic(join(runDir, CONFIG), `${JSON.stringify(stored, null, 2)}\n`);
}

/**
 * The config that a run was started with, with the flags of this call on top; `out` is where the run lies now. The folder
 * of the cache is that of the flags, or the user's own: a run from elsewhere must not say where else is written.
 *
 * @throws InputError if there is no run, its config is damaged, or a name in it leads out.
 */
export async function readRunConfig(runDir: string, flags: Readonly<Record<string, unknown>>): Promise<TrainConfig> {
  await checkOwnNames(runDir);
  const config = await readConfig(runDir, flags);
  return flags["cacheDir"] === undefined ? { ...config, cacheDir: undefined } : config;
}

async function readConfig(runDir: string, flags: Readonly<Record<string, unknown>>): Promise<TrainConfig> {
  const path = join(runDir, CONFIG);
  try {
    await readFile(path);
  } catch {
    throw new InputError(
      `Cannot use the run ${runDir}`,
      `there is no ${CONFIG} in it: name the run directory of ${ownCommand`train`}`,
    );
  }
  return resolveConfig({ file: path, flags: { ...flags, out: runDir }, isStored: true });
}

/** The stored config, without anybody's flags; `readRunConfig` has checked it. */
export async function readStoredConfig(runDir: string): Promise<TrainConfig> {
  return await readConfig(runDir, {});
}
