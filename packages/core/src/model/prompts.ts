/** Which prompts the tokens of one pass get: sequences packed together may have adapters of their own, or none. */
import type { OutputBias } from "../adapter/layout.ts";
import type { DeviceArray, Engine, Matrix, PromptSet, RowRange } from "../engine/engine.ts";

/** What one adapted layer adds to its attention. */
export interface LayerPrompt {
  /** Keys and values of the prompts: see `promptKv`. */
  readonly kv_KY: DeviceArray;
  /** Gate sharing and activation are already applied: one factor per query head. */
  readonly gate_H: Float32Array;
  readonly K: number;
  /** `twice`: the layer's output bias is added a second time to tokens with these prompts, as PEFT does. */
  readonly outputBiasTimes: OutputBias | undefined;
}

/** The prompts of one adapter by layer. */
export type AdapterPrompts = ReadonlyMap<number, LayerPrompt>;

/** How one sequence is adapted: by these prompts, their effective gates times `scale`. 0 is the base, 1 the adapter. */
export interface SequencePrompts {
  readonly prompts: AdapterPrompts;
  readonly scale: number;
}

/** Prompts and the tokens that they are for (default: all of the pass). */
export interface TokenPrompts extends SequencePrompts {
  readonly tokens?: RowRange;
}

/** All tokens of a pass under one adapter, or under none. */
export function promptsForAll(prompts: AdapterPrompts): TokenPrompts[] {
  return prompts.size > 0 ? [{ prompts, scale: 1 }] : [];
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
    const [from, to] = [cuSeqlens[s], cuSeqlens[s + 1]];
    const last = ranges.at(-1);
    if (last?.tokens?.[1] === from && last.prompts === own.prompts && last.scale === own.scale) {
      ranges[ranges.length - 1] = { ...last, tokens: [last.tokens[0], to] };
    } else ranges.push({ ...own, tokens: [from, to] });
  }
  return ranges;
}

/** Gates of a layer's prompts under the scale of a sequence. */
function gatesOf({ gate_H }: LayerPrompt, scale: number): Float32Array {
  return scale === 1 ? gate_H : gate_H.map((gate) => scale * gate);
}

/** The sets of one layer: which tokens attend to which prompts there. */
export function promptSets(layer: number, ranges: readonly TokenPrompts[], T: number): PromptSet[] {
  return ranges.flatMap(({ prompts, scale, tokens = [0, T] }) => {
    const prompt = prompts.get(layer);
    return prompt ? [{ kv_RY: prompt.kv_KY, rows: [0, prompt.K], tokens, gate_H: gatesOf(prompt, scale) }] : [];
  });
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
    if (prompts.get(layer)?.outputBiasTimes !== "twice") continue;
    const rows_T = new Int32Array(T).fill(1, from, to);
    const next_TD = engine.embed(table_2D, rows_T, { scale, residual: y_TD });
    if (y_TD !== x_TD) engine.free(y_TD);
    y_TD = next_TD;
  }
  return y_TD;
}
