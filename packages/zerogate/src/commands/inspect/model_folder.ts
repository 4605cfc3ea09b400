/** A base model: its folder, or its GGUF file. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError, type ModelConfig, parameterCount } from "@zerogate/core";
import { describeGguf, isGgufFile, readModelConfig, reason } from "@zerogate/core/node";
import { checkVocabulary, loadTokenizer } from "@zerogate/data";
import { ownCommand } from "@zerogate/run-config";
import type { Facts } from "./facts.ts";
import { inspectFile } from "./files.ts";
import type { JsonObject } from "./known_file.ts";
import { trainingMemory } from "./training_memory.ts";

/** One that cannot be used is described as far as its files say something. */
export async function inspectModel(path: string): Promise<Facts> {
  const warnings: string[] = [];
  const problems: string[] = [];
  const tried = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      problems.push(error instanceof InputError ? error.message : reason(error));
      return undefined;
    }
  };
  const config = await tried(() => readModelConfig(path, { onWarning: (warning) => warnings.push(warning) }));
  const isFile = await isGgufFile(path);
  const weights = isFile ? await describeGguf(path).catch(() => undefined) : await weightFiles(path);
  if (!isFile && weights === undefined) problems.push("it holds no weights");
  const tokenizer = await tried(() => tokenizerFacts(path, config, warnings));
  const memory = config && weights ? await trainingMemory(path, config) : undefined;
  const isUsable = problems.length === 0;
  return {
    kind: "model",
    path,
    ...(config ? { parameters: parameterCount(config), ...config } : await configAlone(path)),
    weights,
    trainingMemory: memory,
    tokenizer,
    warnings,
    problems,
    next: isUsable ? `${ownCommand`train --model ${path}`} --data DATA.json --out RUN` : undefined,
  };
}

/** Those that are read if there are no others before them. */
const weightNames = [/\.safetensors$/, /^pytorch_model.*\.bin$/, /^consolidated\.\d{2}\.pth$/];

async function weightFiles(path: string): Promise<JsonObject | undefined> {
  const found = (await readdir(path)).toSorted();
  const names =
    weightNames.map((pattern) => found.filter((name) => pattern.test(name))).find(({ length }) => length > 0) ?? [];
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(path, name)).catch(() => undefined))?.size ?? 0),
  );
  return names.length === 0 ? undefined : { files: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

async function tokenizerFacts(path: string, config: ModelConfig | undefined, warnings: string[]): Promise<JsonObject> {
  const tokenizer = await loadTokenizer(path, config);
  const mismatch = config && checkVocabulary(tokenizer, config.vocabSize);
  if (mismatch !== undefined) warnings.push(mismatch);
  const { vocabularySize, bosId, eosId, hash } = tokenizer;
  return { vocabularySize, front: tokenizer.frontIds(), bosId, eosId, hash };
}

/** Of a model that is not supported, its own words. */
async function configAlone(path: string): Promise<JsonObject> {
  const { modelType, architectures } = await inspectFile(join(path, "config.json")).catch((): JsonObject => ({}));
  return { modelType, architectures };
}
