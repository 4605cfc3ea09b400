/** Which tensors of a checkpoint are a tower's, whatever stands in front of their names. */
import { InputError } from "../../errors.ts";
import { wrapperPrefixes } from "../../model/checkpoint_names.ts";
import type { TowerConfig } from "./config.ts";
import { towerTokens } from "./config.ts";
import { towerFamilyOf } from "./families.ts";

/** One weight of a tower by our name, and the tensors of the checkpoint that it stacks. */
export interface TowerWeight {
  readonly name: string;
  readonly shape: readonly number[];
  /** By their names behind the tower's prefix, with the shape that they have there but for sizes of 1. */
  readonly parts: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** The weights that this tower needs, in the order of use. The projection's name is a whole one, see `TowerNames`. */
export function towerWeights(config: TowerConfig): TowerWeight[] {
  const { names } = towerFamilyOf(config);
  const { hiddenSize: W, intermediateSize: F, patchSize, qkvBias } = config;
  const weights: TowerWeight[] = [];
  const add = (name: string, shape: readonly number[], ...tensors: readonly string[]) => {
    const [rows = 0, ...columns] = shape;
    const stored = [rows / tensors.length, ...columns];
    weights.push({ name, shape, parts: tensors.map((tensor) => ({ name: tensor, shape: stored })) });
  };
  const map = (name: string, shape: readonly number[], ...tensors: readonly string[]) => {
    add(name, shape, ...tensors.map((tensor) => `${tensor}.weight`));
  };
  const bias = (name: string, rows: number, ...tensors: readonly string[]) => {
    add(`${name}.bias`, [rows], ...tensors.map((tensor) => `${tensor}.bias`));
  };
  const both = (name: string, shape: readonly number[], tensor: string) => {
    map(name, shape, tensor);
    bias(name, shape[0] ?? 0, tensor);
  };
  const patches = { name: `${names.patches}.weight`, shape: [W, 3, patchSize, patchSize] };
  weights.push({ name: "patches", shape: [W, 3 * patchSize ** 2], parts: [patches] });
  if (names.hasPatchBias) bias("patches", W, names.patches);
  add("positions", [towerTokens(config), W], names.positions);
  if (names.classToken !== undefined) add("class", [W], names.classToken);
  if (names.preNorm !== undefined) both("preNorm", [W], names.preNorm);
  for (let i = 0; i < config.layers; i++) {
    const at = (part: string) => `${names.layers}.${i}.${part}`;
    const qkv = [names.query, names.key, names.value].map(at);
    both(`${i}.attnNorm`, [W], at(names.attnNorm));
    map(`${i}.qkv`, [3 * W, W], ...qkv);
    if (qkvBias) bias(`${i}.qkv`, 3 * W, ...qkv);
    both(`${i}.o`, [W, W], at(names.output));
    both(`${i}.mlpNorm`, [W], at(names.mlpNorm));
    both(`${i}.up`, [F, W], at(names.up));
    both(`${i}.down`, [W, F], at(names.down));
  }
  if (config.finalNorm) both("finalNorm", [W], names.finalNorm);
  if (config.projectionSize > 0 && names.projection !== undefined) {
    map("projection", [config.projectionSize, W], names.projection);
  }
  if (config.poolingHead && names.head !== undefined) {
    const at = (part: string) => `${names.head}.${part}`;
    add("head.probe", [W], at("probe"));
    add("head.qkv", [3 * W, W], at("attention.in_proj_weight"));
    add("head.qkv.bias", [3 * W], at("attention.in_proj_bias"));
    both("head.o", [W, W], at("attention.out_proj"));
    both("head.norm", [W], at("layernorm"));
    both("head.up", [F, W], at("mlp.fc1"));
    both("head.down", [W, F], at("mlp.fc2"));
  }
  return weights;
}

/** Where a tower's tensors are among others. */
export interface TowerPlace {
  /** The config with what the tensors say: whether there are a projection and a pooling head. */
  readonly config: TowerConfig;
  /** The whole name of a part. */
  nameOf(part: string): string;
  /** Tensors that no weight is made of: of the tower itself, and of what is around it. */
  readonly unused: readonly string[];
  readonly others: readonly string[];
}

/**
 * Finds the tower among the names of a checkpoint. Throws an `InputError` if there is none, or more than one.
 *
 * @param folder for messages.
 */
export function placeTower(config: TowerConfig, tensors: Iterable<string>, folder: string): TowerPlace {
  const { names } = towerFamilyOf(config);
  const all = [...tensors];
  const attempt = `Cannot load the tower in ${folder}`;
  const anchor = `${names.patches}.weight`;
  const found = all.filter((name) => name === anchor || name.endsWith(`.${anchor}`));
  const [first, second] = found;
  if (first === undefined) {
    throw new InputError(attempt, `no tensor's name ends with ${anchor}: this is not a ${config.family} tower`);
  }
  if (second !== undefined) {
    throw new InputError(attempt, `there are two towers, with ${first} and ${second}: keep one of them in the files`);
  }
  const prefix = first.slice(0, -anchor.length);
  const known = new Set(all);
  const projection = names.projection && projectionName(`${names.projection}.weight`, all);
  const nameOf = (part: string) =>
    projection !== undefined && part === `${names.projection}.weight` ? projection : prefix + part;
  const stored: TowerConfig = {
    ...config,
    projectionSize: projection === undefined ? 0 : config.projectionSize,
    poolingHead: config.poolingHead && known.has(nameOf(`${names.head}.probe`)),
  };
  const used = new Set(towerWeights(stored).flatMap(({ parts }) => parts.map(({ name }) => nameOf(name))));
  const over = all.filter((name) => !used.has(name) && !/(?:^|\.)position_ids$/.test(name));
  // With no prefix all tensors are the tower's own.
  const isOwn = (name: string) => name.startsWith(prefix.replace(wrapperPrefixes, "") === "" ? "" : prefix);
  return { config: stored, nameOf, unused: over.filter(isOwn), others: over.filter((name) => !isOwn(name)) };
}

/** The projection lies beside `vision_model.`; undefined if the checkpoint has none. */
function projectionName(suffix: string, all: readonly string[]): string | undefined {
  return all.find((name) => name === suffix || name.endsWith(`.${suffix}`));
}
