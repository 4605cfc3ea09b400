/** Folders with the numbers of an adapter: one that is finished, and a checkpoint. */
import { join } from "node:path";
import { InputError, parseAdaptionPromptConfig } from "@zerogate/core";
import { folderFile, readFolderJson, readPromptFormat, reason, verifyDirectory } from "@zerogate/core/node";
import { ownCommand } from "@zerogate/run-config";
import { namedBase } from "@zerogate/trainer/command";
import type { Facts } from "./facts.ts";
import { inspectFile } from "./files.ts";
import type { JsonObject } from "./known_file.ts";
import { readStateFile } from "./own_binaries.ts";

/** @throws InputError if its config cannot be used: then nothing says what it is. */
export async function inspectAdapter(path: string): Promise<Facts> {
  const name = "adapter_config.json";
  const { config, warnings } = parseAdaptionPromptConfig(await readFolderJson(path, name), join(path, name));
  const problems: string[] = [];
  const weights = await weightsOf(path, problems);
  const format = await readPromptFormat(path).catch((error: unknown) => void problems.push(messageOf(error)));
  const base = await namedBase(path, () => {});
  const model = base === undefined ? " --model BASE" : "";
  return {
    kind: "adapter",
    path,
    ...config,
    template: format?.template.name,
    bos: format?.bos,
    isBaseThere: base !== undefined,
    ...weights,
    warnings,
    problems,
    next: `${ownCommand`chat --adapter ${path}`}${model}`,
  };
}

async function weightsOf(path: string, problems: string[]): Promise<JsonObject> {
  const names = ["adapter_model.safetensors", "adapter_model.bin"];
  for (const name of names) {
    if ((await folderFile(path, name).catch(() => undefined)) === undefined) continue;
    const { problem, numbers, dtypes, metadata, tensors } = await inspectFile(join(path, name));
    if (problem !== undefined) problems.push(`${name}: ${problem}`);
    return { weights: name, numbers, dtypes, metadata, tensors };
  }
  problems.push(`there is neither ${names.join(" nor ")}`);
  return {};
}

export async function inspectCheckpoint(path: string): Promise<Facts> {
  const problems = await verifyDirectory(path);
  if (problems.length > 0) return { kind: "checkpoint", path, whole: false, problems };
  const state = await readStateFile(join(path, "state.msgpack")).catch(
    (error: unknown) => void problems.push(messageOf(error)),
  );
  const { adapterLen, adapterLayers, numbers } = (await inspectAdapter(path)) as JsonObject;
  return {
    kind: "checkpoint",
    path,
    whole: problems.length === 0,
    ...state,
    adapterLen,
    adapterLayers,
    numbers,
    problems,
  };
}

const messageOf = (error: unknown): string => (error instanceof InputError ? error.message : reason(error));
