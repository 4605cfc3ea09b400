/** Which prompts the tokens of one pass get: sequences packed together may have adapters of their own, or none. */
import type { OutputBias } from "../adapter/layout.ts";
import type { AttentionSize, DeviceArray, Engine, Matrix, PromptSet, RowRange } from "../engine/engine.ts";
import type { SavedKeys } from "./qk_norm.ts";
import type { BoundTuning, TunedMap } from "./tuned.ts";

/** Keys and values of the prompts of a layer: see `promptKv`. */
export interface PromptKv {
  readonly kv_KY: DeviceArray;
  /** What the keys were before their norm, if the layer has one; only for the backward of the pass that made them. */
  readonly beforeNorm: SavedKeys | undefined;
  /** The vectors of tuned maps, and what came before them; only for the backward of the pass that made them. */
  readonly tuned?: { readonly map: TunedMap; readonly u_KY: DeviceArray } | undefined;
}

/** What one adapted layer adds to its attention. */
export interface LayerPrompt extends PromptKv {
  /** Gate sharing and activation are already applied: one factor per query head. */
  readonly gate_H: Float32Array;
  readonly K: number;
  /** `twice`: the layer's output bias is added a second time to tokens with these prompts, as PEFT does. */
  readonly outputBiasTimes: OutputBias | undefined;
}

/** What one adapter adds in a pass. */
export interface AdapterPrompts {
  /** Its prompts by layer. */
  readonly layers: ReadonlyMap<number, LayerPrompt>;
  /** What it tunes of the base itself. @default nothing */
  readonly tuning?: BoundTuning | undefined;
}

/** N images in the adapted layers of one adapter. */
export interface ImagePrompts {
  /** Keys and values `[N·K, Y]` of each layer. */
  readonly layers: ReadonlyMap<number, PromptKv>;
  /** N. */
  readonly count: number;
  /** Rows of an image. */
  readonly K: number;
  /** Whether its tokens attend to an image's rows beside the prompts of the adapter, or instead of these. */
  readonly stand: "beside" | "instead";
  /** Images whose vectors are zero: they leave what the prompts of the adapter give as it is. Their gradient is like any other's. */
  readonly silent: ReadonlySet<number>;
}

/** An image and the tokens of a pass that see it. */
export interface ImageRange {
  readonly prompts: ImagePrompts;
  /** From 0 to N - 1. */
  readonly image: number;
  readonly tokens: RowRange;
}

/** How one sequence is adapted: by these prompts, their effective gates times `scale`. 0 is the base, 1 the adapter. */
export interface SequencePrompts {
  readonly prompts: AdapterPrompts;
  readonly scale: number;
  /** The image that it sees. @default none */
  readonly image?: SequenceImage | undefined;
}

/** One of the images that were bound together. */
export type SequenceImage = Pick<ImageRange, "prompts" | "image">;

/** Prompts and the tokens that they are for (default: all of the pass), and the images that some of those see. */
export interface TokenPrompts extends Omit<SequencePrompts, "image"> {
  readonly tokens?: RowRange;
  readonly images?: readonly ImageRange[] | undefined;
}

/** All tokens of a pass under one adapter, or under none. */
export function promptsForAll(prompts: AdapterPrompts, images?: readonly ImageRange[]): TokenPrompts[] {
  return prompts.layers.size > 0 || prompts.tuning ? [{ prompts, scale: 1, images }] : [];
}

/** Sequence s under `sequences[s]`, undefined being the base; neighbours that are adapted alike become one range. */
export function promptsBySequence(
  sequences: readonly (SequencePrompts | undefined)[],
  cuSeqlens: Int32Array,
): TokenPrompts[] {
  if (sequences.length !== cuSeqlens.length - 1) {
    throw new RangeError(`Cannot run ${cuSeqlens.length - 1} sequences: prompts are given for ${sequences.length}`);
  }
  const ranges: TokenPrompts[] = [];
  for (const [s, own] of sequences.entries()) {
    if (own === undefined || own.scale === 0) continue;
    const tokens = [cuSeqlens[s], cuSeqlens[s + 1]] as const;
    const [from, to] = tokens;
    const { prompts, scale, image } = own;
    const images = image ? [{ ...image, tokens }] : [];
    const last = ranges.at(-1);
    if (last?.tokens?.[1] === from && last.prompts === prompts && last.scale === scale) {
      ranges[ranges.length - 1] = {
        ...last,
        tokens: [last.tokens[0], to],
        images: [...(last.images ?? []), ...images],
      };
    } else ranges.push({ prompts, scale, tokens, images });
  }
  return ranges;
}

/** Gates of a layer's prompts under the scale of a sequence. */
function gatesOf({ gate_H }: LayerPrompt, scale: number): Float32Array {
  return scale === 1 ? gate_H : gate_H.map((gate) => scale * gate);
}

/** A set, and whose it is. */
export interface OwnedSet extends PromptSet {
  /** The place of its prompts in the list of those of the pass. */
  readonly range: number;
  /** The image that it is the value of. */
  readonly of?: SequenceImage;
}

/** The sets of one layer. */
export interface LayerSets {
  /** Which tokens attend to which prompts: the adapter's, or those of an image. */
  readonly prompts: readonly OwnedSet[];
  /** Which tokens see which images beside their prompts: sets of one row each. */
  readonly images: readonly OwnedSet[];
}

/** Lists which tokens attend to which prompts of a layer, and which see which images there. */
export function promptSets(layer: number, ranges: readonly TokenPrompts[], T: number): LayerSets {
  const sets = { prompts: [] as OwnedSet[], images: [] as OwnedSet[] };
  for (const [range, { prompts, scale, tokens = [0, T] as const, images = [] }] of ranges.entries()) {
    const prompt = prompts.layers.get(layer);
    if (!prompt) continue;
    const own = { gate_H: gatesOf(prompt, scale), range };
    const ofAdapter = { kv_RY: prompt.kv_KY, rows: [0, prompt.K], ...own } as const;
    const [start, end] = tokens;
    let next = start;
    for (const { tokens: seen, ...of } of images) {
      const { layers, K, stand, silent } = of.prompts;
      const kv = layers.get(layer);
      if (!kv) continue;
      const ofImage = { kv_RY: kv.kv_KY, rows: [of.image * K, (of.image + 1) * K], ...own, of, tokens: seen } as const;
      if (stand === "beside") {
        sets.images.push(ofImage);
        continue;
      }
      if (next < seen[0]) sets.prompts.push({ ...ofAdapter, tokens: [next, seen[0]] });
      sets.prompts.push(silent.has(of.image) ? { ...ofAdapter, of, tokens: seen } : ofImage);
      [, next] = seen;
    }
    if (next < end || next === start) sets.prompts.push({ ...ofAdapter, tokens: [next, end] });
  }
  return sets;
}

/** The sets of images beside prompts that add anything: a vector of zeros keeps even the signs of zeros. */
export function heardImages({ images }: LayerSets): OwnedSet[] {
  return images.filter(({ of }) => !of?.prompts.silent.has(of.image));
}

/** The sets of a layer's images beside prompts, and for each the sum of the gradient over its tokens: B of images.ts, `[S + 1, Q]`. */
export interface ImageSums {
  readonly sums_SQ: DeviceArray;
  readonly sets: readonly OwnedSet[];
}

/** Sums the gradient of what joined attention over the tokens of each set; the last row is that of tokens of none. */
export function sumByImage(
  engine: Engine,
  do_TQ: DeviceArray,
  sets: readonly OwnedSet[],
  { T, H, d }: AttentionSize,
): ImageSums | undefined {
  if (sets.length === 0) return undefined;
  const rows_T = new Int32Array(T).fill(sets.length);
  for (const [s, { tokens }] of sets.entries()) rows_T.fill(s, ...tokens);
  return { sums_SQ: engine.scatterRows(do_TQ, rows_T, { T: sets.length + 1, D: H * d }), sets };
}

/** Adds the output bias a second time, times `scale`, to the tokens of adapters that add it twice; returns `x_TD` itself if there are none. */
export function addBiasAgain(
  engine: Engine,
  layer: number,
  x_TD: DeviceArray,
  table_2D: Matrix,
  ranges: readonly TokenPrompts[],
  T: number,
): DeviceArray {
  let y_TD = x_TD;
  for (const { prompts, scale, tokens: [from, to] = [0, T] } of ranges) {
    if (prompts.layers.get(layer)?.outputBiasTimes !== "twice") continue;
    const rows_T = new Int32Array(T).fill(1, from, to);
    const next_TD = engine.embed(table_2D, rows_T, { scale, residual: y_TD });
    if (y_TD !== x_TD) engine.free(y_TD);
    y_TD = next_TD;
  }
  return y_TD;
}
