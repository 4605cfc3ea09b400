/** Tensors of a small model of odd sizes, and what its loader refuses. */
import type { DType } from "../src/engine/engine.ts";
import { InputError } from "../src/errors.ts";
import { narrow } from "../src/formats/dtype.ts";
import { type Tensor } from "../src/formats/safetensors.ts";
import { parseModelConfig } from "../src/model/hf_config.ts";
import { weightSources } from "../src/model/hf_names.ts";

/** Odd sizes on purpose: bf16 parts of odd length would show a place that is not aligned. */
export const json = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 7,
  intermediate_size: 5,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 2,
  attention_bias: true,
  mlp_bias: true,
};
export const config = parseModelConfig(json, "config.json");
export const all: DType[] = ["f32", "bf16", "f16"];
const stored = { f32: "F32", bf16: "BF16", f16: "F16" } as const;

/** Every tensor of the model with numbers of its own, exact in each dtype. */
export function tensorsOf(model: typeof config, dtypeOf: (name: string) => DType = () => "f32"): Map<string, Tensor> {
  const parts = weightSources(model).flatMap((source) => source.parts);
  return new Map(
    parts.map(({ hfName, shape }, p) => {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => ((37 * p + i) % 251) / 4);
      return [hfName, { dtype: stored[dtypeOf(hfName)], shape, bytes: narrow(values, dtypeOf(hfName)) }];
    }),
  );
}

export async function problemsOf(work: Promise<unknown>): Promise<readonly string[]> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof InputError ? error.problems : [`not refused: ${String(error)}`];
}
