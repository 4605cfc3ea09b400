import { parseModelConfig } from "@zerogate/core";
import { expect, test } from "vitest";
import { cellWork } from "./cell_work.ts";

const [V, D, F, heads, kvHeads, layers] = [100, 8, 24, 4, 2, 3];
const shape = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: D,
  intermediate_size: F,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
};
const model = parseModelConfig(shape, "config.json");
// Three samples of 5, 2 and 9 tokens, of which 2, 1 and 4 are learnt.
const tokens = {
  hash: "",
  ids: new Int32Array(16),
  offsets: Float64Array.of(0, 5, 7, 16),
  target: Uint8Array.from([0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
};

test("a cell's work is the multiplications of its products, each sample with its own square of attention", () => {
  const d = D / heads;
  const maps = D * D + 2 * D * kvHeads * d + D * D + 3 * D * F;
  const forward = (T: number) => layers * (T * maps + T * T * heads * d);
  const backward = (T: number) => 2 * (T * maps + 2.5 * T * T * heads * d);
  const expected = [5, 2, 9].map((T, i) => forward(T) + backward(T) + 2 * [2, 1, 4][i]! * V * D);
  const work = cellWork(model, 2);
  expect([0, 1, 2].map((sample) => work(tokens, [sample]))).toEqual(expected);
  expect(work(tokens, [0, 2])).toBe(expected[0]! + expected[2]!);
  expect(work(tokens, [])).toBe(0);
});
