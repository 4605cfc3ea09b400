/** What is taken out of a tower: names of features, their sizes, and the norm of those that are vectors. */
import { InputError } from "../../errors.ts";
import { type TowerConfig, towerTokens } from "./config.ts";
import { towerFamilyOf } from "./families.ts";

/** One feature of an image, with its numbers. */
export interface Feature {
  /** As it was asked for. */
  readonly name: string;
  readonly kind: "cls" | "mean" | "tokens" | "pooled" | "embeds" | "projected";
  /** The hidden state that it is made of. */
  readonly hidden: number;
  readonly width: number;
}

/** A list of features that fit together. */
export interface FeatureList {
  readonly features: readonly Feature[];
  /** The shape of one image: `[C]` of vectors in a row, or `[M, width]` of tokens. */
  readonly shape: readonly number[];
}

/** `layer`: each vector has mean 0 and variance 1, by LayerNorm without weights (eps 1e-6). Tokens stay as they are. */
export type FeatureNorm = "layer" | "none";

const FORM = "cls@i, mean@i, pooled, embeds, tokens@i or tokens.projected";

/**
 * Reads a list of features; `i` is a hidden state from 0 to the number of layers, or from the end: -1 is the last one. Throws
 * an `InputError` that lists every name that is none, or that this tower has not.
 *
 * @example
 * parseFeatures(["cls@6", "cls@-1", "pooled"], towerConfig).shape; // [2304]: three times 768
 */
export function parseFeatures(names: readonly string[], config: TowerConfig): FeatureList {
  const attempt = "Cannot take features of the tower";
  if (names.length === 0) throw new InputError(attempt, `none is named, needed is a list of ${FORM}`);
  const problems: string[] = [];
  const features = names.flatMap((name) => {
    const feature = parseFeature(name, config);
    if (typeof feature !== "string") return [feature];
    problems.push(`${JSON.stringify(name).slice(0, 100)} ${feature}`);
    return [];
  });
  if (new Set(names).size < names.length) problems.push("a feature is named twice");
  const isTokens = ({ kind }: Feature) => kind === "tokens" || kind === "projected";
  if (features.length > 1 && features.some(isTokens)) problems.push("tokens stand alone: name no other feature");
  if (problems.length > 0) throw new InputError(attempt, problems);
  const width = features.reduce((sum, feature) => sum + feature.width, 0);
  return { features, shape: features.some(isTokens) ? [towerTokens(config), width] : [width] };
}

/** The feature, or what is wrong with its name. */
function parseFeature(name: string, config: TowerConfig): Feature | string {
  const { layers, hiddenSize: width, projectionSize, poolingHead, family } = config;
  const hasClass = towerFamilyOf(config).names.classToken !== undefined;
  const whole = { name, hidden: layers, width };
  if (name === "pooled") {
    if (family === "siglip" && !poolingHead) return "is not there: the tower has no pooling head, use mean@-1";
    return { ...whole, kind: "pooled" };
  }
  if (name === "embeds" || name === "tokens.projected") {
    if (projectionSize === 0) return "is not there: the tower has no visual_projection";
    return { name, hidden: layers, width: projectionSize, kind: name === "embeds" ? "embeds" : "projected" };
  }
  const [, kind, index] = /^(cls|mean|tokens)@(-?\d{1,5})$/.exec(name) ?? [];
  if (kind === undefined) return `is no feature, needed is ${FORM}`;
  const hidden = Number(index) < 0 || index === "-0" ? layers + 1 + Number(index) : Number(index);
  if (hidden < 0 || hidden > layers)
    return `is outside of the tower: hidden states are 0 to ${layers}, or -1 to ${-layers - 1}`;
  if (kind === "cls" && !hasClass) return `is not there: a ${family} tower has no class token, use mean@${index}`;
  return { name, kind: kind as "cls" | "mean" | "tokens", hidden, width };
}

/**
 * The features that the `global` fusion takes by default: the class token at a quarter, half, three quarters and the end of the
 * depth; of a tower without one, the mean of its tokens there.
 */
export function globalFeatures(config: TowerConfig): string[] {
  const kind = towerFamilyOf(config).names.classToken === undefined ? "mean" : "cls";
  const depths = [1, 2, 3, 4].map((quarter) => Math.ceil((quarter * config.layers) / 4));
  return [...new Set(depths)].map((depth) => `${kind}@${depth}`);
}

const NORM_EPS = 1e-6;

/** Gives a vector mean 0 and variance 1, in place; sums in float64. */
export function normalizeVector(vector: Float32Array): void {
  let mean = 0;
  for (const x of vector) mean += x;
  mean /= vector.length;
  let variance = 0;
  for (const x of vector) variance += (x - mean) ** 2;
  const scale = 1 / Math.sqrt(variance / vector.length + NORM_EPS);
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] - mean) * scale;
}
