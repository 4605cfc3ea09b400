/** Says of a folder what it is and what is in it. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { listAdapters, readFolderJson, reason } from "@zerogate/core/node";
import { ownCommand } from "@zerogate/run-config";
import { inspectAdapter, inspectCheckpoint } from "./adapter_folder.ts";
import { inspectData, inspectScience } from "./data_files.ts";
import type { Facts } from "./facts.ts";
import type { JsonObject } from "./known_file.ts";
import { inspectModel } from "./model_folder.ts";
import { isRunConfig } from "./own_texts.ts";
import { inspectRun, type RunFacts } from "./run.ts";

const runNames = /^(?:metrics\.jsonl|receipt\.jsonl|checkpoints|lock-[1-9]\d*(?:\.free)?)$/;
const MAX_NAMED = 8;

/**
 * @param onNote gets a sentence if finding out takes a while.
 * @throws InputError on a folder of no kind that zerogate knows, and if its config cannot be read.
 */
export async function inspectFolder(path: string, onNote: (note: string) => void): Promise<Facts | RunFacts> {
  const names = await readdir(path).catch((cause: unknown) => {
    throw new InputError(`Cannot inspect ${path}`, reason(cause), { cause });
  });
  const has = (name: string) => names.includes(name);
  if (has("state.msgpack") || (has("manifest.json") && has("optimizer.safetensors")))
    return await inspectCheckpoint(path);
  if (has("adapter_config.json")) return await inspectAdapter(path);
  const config = has("config.json") ? await readConfig(path) : undefined;
  const isModel = config !== undefined && ("model_type" in config || "architectures" in config);
  if (isRunConfig(config) || (!isModel && names.some((name) => runNames.test(name)) && !isRewound(path))) {
    return await inspectRun(path, onNote);
  }
  const isMetas = has("params.json") && has("consolidated.00.pth");
  if (has("config.json") || has("tokenizer.json") || isMetas) return await inspectModel(path);
  return (await inspectCollection(path, names)) ?? (await refused(path, names));
}

/** Undefined if it is damaged: then the other names in the folder say what it is. */
async function readConfig(path: string): Promise<JsonObject | undefined> {
  const config = await readFolderJson(path, "config.json").catch(() => undefined);
  return typeof config === "object" && config !== null ? (config as JsonObject) : undefined;
}

const isRewound = (path: string): boolean => /(?:^|[\\/])rewound[\\/]\d+[\\/]?$/.test(path);

/** Folders of things, each of which can be inspected. */
async function inspectCollection(path: string, names: readonly string[]): Promise<Facts | undefined> {
  const matching = (pattern: RegExp) => names.filter((name) => pattern.test(name)).toSorted();
  if (isRewound(path)) {
    return {
      kind: "rewound",
      path,
      what: "what a rewind or a rollback went back behind, kept to be looked at",
      holds: names,
    };
  }
  const checkpoints = matching(/^step-\d+(?:\.corrupt(?:-\d+)?)?$/);
  if (checkpoints.length > 0) {
    return { kind: "checkpoints", path, what: "the checkpoints of a run", holds: checkpoints };
  }
  if (names.includes("snapshots") && (names.includes("blobs") || names.includes("refs"))) {
    const snapshots = (await readdir(join(path, "snapshots"))).map((name) => join(path, "snapshots", name));
    return {
      kind: "hub-cache",
      path,
      what: "a model in the Hub's cache: --model takes one of its snapshots",
      snapshots,
    };
  }
  const [tokens, hashes] = [matching(/^[0-9a-f]{64}\.tokens$/), matching(/^base-[0-9a-f]{64}$/)];
  if (tokens.length + hashes.length > 0) {
    const what = "a cache of tokens and hashes of bases; it may be deleted at any time";
    return { kind: "cache", path, what, tokenFiles: tokens.length, baseHashes: hashes.length };
  }
  const adapters = await listAdapters(path).catch(() => []);
  const visible = names.filter((name) => !name.startsWith("."));
  if (adapters.length > 0 && adapters.length === visible.length) {
    return { kind: "adapters", path, what: "a folder of adapters", adapters, next: ownCommand`adapters list ${path}` };
  }
  if (names.includes("problems.json") && names.includes("pid_splits.json")) return await inspectScience(path);
  const data = matching(/\.jsonl?$/i);
  const isAllData = data.length > 0 && data.length === visible.length;
  return isAllData ? await inspectData(path) : undefined;
}

async function refused(path: string, names: readonly string[]): Promise<never> {
  const known = "a model, adapter, checkpoint or run folder, a .safetensors file, or an instruction file";
  const found = names.slice(0, MAX_NAMED).map((name) => JSON.stringify(name));
  const more = names.length > MAX_NAMED ? `, … (${names.length} in all)` : "";
  const holds = names.length === 0 ? "it is empty" : `it holds ${found.join(", ")}${more}`;
  throw new InputError(
    `Cannot inspect ${path}`,
    `it is a folder of no kind that zerogate knows: ${holds}; expected ${known}`,
  );
}
