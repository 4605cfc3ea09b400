/** Reads what model a base is: its `config.json`, completed by what the names in its weight files say. */
import { InputError } from "../errors.ts";
import { readQuantization } from "../formats/packed/quantization.ts";
import { describeTensors, storedName, unusedTensors, withoutWrappers } from "../model/checkpoint_names.ts";
import type { ModelConfig } from "../model/config.ts";
import { familyOf } from "../model/families/families.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { weightSources } from "../model/hf_names.ts";
import { HEAD, type WeightPart } from "../model/weight_sources.ts";
import { baseForm } from "./base_forms.ts";
import { readGenerationConfig } from "./generation_config.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { haveSameNumbers } from "./same_numbers.ts";
import { withWeightFiles } from "./weight_files.ts";

/** What becomes of things in a model's folder that are used otherwise than they may have been meant. */
export interface ReadModelOptions {
  /** Receives what is used otherwise than its files may have been meant: keys, tensors, heads, dtypes and names. @default nobody */
  readonly onWarning?: (message: string) => void;
  /** Refuses tensors that nothing reads, instead of a warning. @default false */
  readonly strictTensors?: boolean;
}

/**
 * Reads what model is in a folder, or in a GGUF file. `tie_word_embeddings` is a claim that the weights decide, as in transformers: a head that differs
 * from the embedding is a head of its own. A folder without weights is described by its config alone.
 *
 * @throws InputError if a file is missing, damaged or not of a supported model.
 * @example
 * const config = await readModelConfig("models/base", { onWarning: console.warn });
 */
export async function readModelConfig(
  folder: string,
  { onWarning = () => {}, strictTensors = false }: ReadModelOptions = {},
): Promise<ModelConfig> {
  const form = await baseForm(folder);
  const { json, path } = await form.readConfig();
  const quantization = readQuantization(json);
  if (quantization.problems.length > 0)
    throw new InputError(`Cannot use ${path} as a model config`, quantization.problems);
  const parsed = parseModelConfig(quantization.config, path, onWarning);
  // As in transformers, which asks generation_config.json first; if it names no ends, the config's stay.
  const { eosTokenIds = parsed.eosTokenIds } = await readGenerationConfig(folder);
  const stated = { ...parsed, eosTokenIds };
  const weights = await form.findWeights();
  if (weights === undefined) return stated;
  return withWeightFiles(weights, async (stored) => {
    const { tensors, prefixes } = withoutWrappers(stored);
    for (const [prefix, count] of prefixes) {
      onWarning(`${count} tensors of ${folder} have names that begin with ${prefix}: they are read without it`);
    }
    const config = await tiedAsStored(stated, tensors, onWarning);
    const wide = [...tensors.values()].filter(({ dtype }) => dtype === "F64").length;
    if (wide > 0) onWarning(`${wide} tensors of ${folder} are F64: they are used as F32`);
    const unused = unusedTensors(config, tensors);
    if (unused.length === 0) return config;
    const found = `${unused.length} of ${tensors.size} tensors are not part of this ${config.modelType} model`;
    const names = describeTensors(unused, config);
    if (strictTensors) {
      const way = "take them out of the files, or leave out strictTensors (--strict-tensors)";
      throw new InputError(`Cannot use the model in ${folder}`, `${found}: ${names}: ${way}`);
    }
    onWarning(`${found} and have no influence on what it computes (--strict-tensors refuses them): ${names}`);
    return config;
  });
}

/** The config with `tiedEmbeddings` false if the files hold both an embedding and another head. */
async function tiedAsStored(
  config: ModelConfig,
  tensors: ReadonlyMap<string, PlacedTensor>,
  onWarning: (message: string) => void,
): Promise<ModelConfig> {
  if (!config.tiedEmbeddings) return config;
  const embedding: WeightPart | undefined = weightSources(config)[0]?.parts[0];
  const name = embedding && storedName(embedding, config, tensors);
  const headName = familyOf(config).headName ?? HEAD;
  const [embed, head] = [name === undefined ? undefined : tensors.get(name), tensors.get(headName)];
  if (!embed || !head || embed === head || (await haveSameNumbers(embed, head))) return config;
  onWarning(
    `${headName} is not the embedding, although config.json ties them: the head of its own is used, as in transformers (tie_word_embeddings: false says so)`,
  );
  return { ...config, tiedEmbeddings: false };
}
