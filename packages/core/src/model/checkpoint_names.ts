/** What the names in a checkpoint say beside `weightSources`: prefixes of wrappers, and tensors that nothing reads. */
import type { ModelConfig } from "./config.ts";
import { architectureOf, familyOf } from "./families/families.ts";
import { acceptedNames, weightSources } from "./hf_names.ts";
import { isBesideLanguage, languageName } from "./text_config.ts";
import { HEAD, type WeightPart } from "./weight_sources.ts";

/** What DistributedDataParallel, torch.compile and PEFT put in front of the names of the model that they hold. */
export const wrapperPrefixes: RegExp = /^(?:module\.|_orig_mod\.|base_model\.model\.)+/;

/**
 * Tensors by the names of the model itself, a language model's also out of a larger one, and the prefixes of wrappers that were taken
 * off. If two would share a name, both stay unchanged.
 */
export function withoutWrappers<T>(stored: ReadonlyMap<string, T>): {
  tensors: Map<string, T>;
  prefixes: ReadonlyMap<string, number>;
} {
  const tensors = new Map<string, T>();
  const prefixes = new Map<string, number>();
  const count = new Map<string, number>();
  const unwrapped = (name: string) => name.replace(wrapperPrefixes, "");
  const plain = (name: string) => languageName(unwrapped(name));
  for (const name of stored.keys()) count.set(plain(name), (count.get(plain(name)) ?? 0) + 1);
  for (const [name, tensor] of stored) {
    const short = plain(name);
    const isOnly = count.get(short) === 1;
    tensors.set(isOnly ? short : name, tensor);
    const prefix = name.slice(0, name.length - unwrapped(name).length);
    if (isOnly && prefix !== "") prefixes.set(prefix, (prefixes.get(prefix) ?? 0) + 1);
  }
  return { tensors, prefixes };
}

/** The name under which these tensors hold the part; undefined if they lack it. */
export function storedName(
  { hfName, standIn }: WeightPart,
  config: Pick<ModelConfig, "modelType">,
  tensors: { has(name: string): boolean },
): string | undefined {
  const names = [...acceptedNames(hfName, config), ...(standIn === undefined ? [] : [standIn])];
  return names.find((name) => tensors.has(name));
}

/**
 * Names of tensors that no weight of this model is made of, without those that are known to hold nothing trained: tables of
 * rotary angles, GPT-2's causal masks, and a head that repeats the embedding.
 */
export function unusedTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): string[] {
  const used = new Set(
    weightSources(config).flatMap(({ parts }) => parts.map((part) => storedName(part, config, tensors))),
  );
  if (config.tiedEmbeddings) used.add(familyOf(config).headName ?? HEAD);
  const family = familyOf(config);
  return [...tensors].flatMap(([name, { shape }]) =>
    used.has(name) ||
    (config.inside !== undefined && isBesideLanguage(name)) ||
    /(?:^|\.)rotary_emb\.inv_freq$/.test(name) ||
    family.isBuffer?.(name, shape)
      ? []
      : [name],
  );
}

/** Says which tensors these are on one line: those of several layers once, those of layers too many by their layer. */
export function describeTensors(names: readonly string[], config: ModelConfig): string {
  const { root, layers } = architectureOf(config).modules;
  const layer = new RegExp(`^(?:${root}\\.)?${layers}\\.(\\d{1,9})\\.`);
  const kinds = new Map<string, number>();
  for (const name of names) {
    const index = layer.exec(name)?.[1];
    const isBeyond = index !== undefined && Number(index) >= config.layers;
    const kind = isBeyond
      ? `layer ${index} (config.json has ${config.layers} layers)`
      : name.replace(/\.\d+\./g, ".*.").slice(0, 120);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const most = 8;
  const shown = [...kinds].slice(0, most).map(([kind, count]) => (count === 1 ? kind : `${kind} (${count})`));
  return kinds.size > most ? `${shown.join(", ")} and ${kinds.size - most} other kinds` : shown.join(", ");
}
