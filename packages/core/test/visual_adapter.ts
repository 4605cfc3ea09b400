/** An adapter that sees images by visual queries, as if trained: nothing is zero, and no norm is one. */
import { expect, test } from "vitest";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { QueryShape } from "../src/adapter/layout.ts";
import { partNumbers } from "../src/adapter/parameters.ts";
import { packCell } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import type { ModelConfig } from "../src/model/config.ts";
import type { DecoderModel } from "../src/model/decoder.ts";
import { tokenLogits } from "../src/model/logits.ts";
import { normal } from "../src/random.ts";
import { tinyAdapter, tinyModel, tinyTokens } from "./tiny_model.ts";

/** Tokens of 5 numbers, a width of 6, two blocks of two heads. */
const vision: QueryShape = {
  fusion: "query",
  featureSize: 5,
  embedSize: 6,
  blocks: 2,
  heads: 2,
  mlpSize: 7,
  blockEps: 1e-6,
  normEps: 1e-5,
  missingImage: "none",
};

export function seeingQueries(config: ModelConfig, changes: Partial<QueryShape> = {}): AdapterState {
  const shape = { vision: { ...vision, ...changes }, gateSharing: "per-head", gateActivation: "tanh" } as const;
  const adapter = tinyAdapter(config, shape);
  for (const part of adapter.layout.table) {
    if (part.part !== "visual") continue;
    const numbers = partNumbers(part, adapter.params);
    const mean = part.init === "ones" ? 1 : 0;
    for (let i = 0; i < numbers.length; i++) numbers[i] = mean + 0.4 * normal(9, part.offset, i);
  }
  return adapter;
}

/** What has to hold bit for bit on engines that keep rows apart (docs/engines.md): three prompts are few rows, more images many. */
export function describeQueryBits(name: string, open: () => Engine | Promise<Engine>): void {
  const C = 5;
  const rows = { size: 4 * C, values: Float32Array.from({ length: 12 * C }, (_, i) => normal(8, 0, i)) };
  const logits = async (model: DecoderModel, adapter: AdapterState, rowOf: readonly number[]) => {
    const tokens = tinyTokens(model.config, [6, 7, 5].slice(0, rowOf.length));
    const cell = packCell({ ...tokens, images: { rowOf: Int32Array.from(rowOf), rows } }, [...rowOf.keys()]);
    return tokenLogits(model, adapter, cell);
  };

  test(`engine ${name}: an image has the same bits beside any others, and one whose queries are zero those of a text [V7]`, async () => {
    const { model } = tinyModel({}, await open());
    const adapter = seeingQueries(model.config);
    const V = model.config.vocabSize;
    const beside = await logits(model, adapter, [1, 2, 0]);
    expect(beside.subarray(0, 6 * V)).toEqual(await logits(model, adapter, [1]));
    const zero = { ...adapter, params: adapter.params.slice() };
    for (const part of zero.layout.table) {
      if (part.name.startsWith("visual_proj_norm")) partNumbers(part, zero.params).fill(0);
    }
    const silent = await logits(model, zero, [1, 2, -1]);
    expect(silent).toEqual(await logits(model, zero, [-1, -1, -1]));
    expect(silent).not.toEqual(beside);
  });
}
