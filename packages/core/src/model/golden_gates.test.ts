/** What PEFT cannot express or gets wrong (spec §6.5): gates per head, with and without tanh, and one output bias. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { adapterLayout, layerParts } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { GateActivation } from "../adapter/parts/gate.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { parseSafetensors } from "../formats/safetensors.ts";
import { loadAdapter, loadWeights, readModelConfig } from "../node.ts";
import { createModel, type DecoderModel } from "./decoder.ts";
import { oneSequence, tokenLogits } from "./logits.ts";

/** Tensors of a file by name; integers as int64, all else as float32. */
function readTensors(path: string) {
  const { tensors } = parseSafetensors(new Uint8Array(readFileSync(path)), path);
  const buffer = (name: string) => tensors.get(name)?.bytes.slice().buffer ?? new ArrayBuffer(0);
  return {
    f32: (name: string) => new Float32Array(buffer(name)),
    ints: (name: string) => Array.from(new BigInt64Array(buffer(name)), Number),
  };
}

async function loadModel(folder: string): Promise<DecoderModel> {
  const engine = createReferenceEngine();
  const config = await readModelConfig(folder);
  const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
  return createModel(engine, config, image);
}

/** Row 0 of the batch has 9 tokens and no padding. */
async function expectRow0(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  ids: number[],
  expected: Float32Array,
) {
  const logits = await tokenLogits(model, adapter, oneSequence(ids.slice(0, 9)));
  expect(expected).toHaveLength(2 * logits.length);
  const worst = logits.reduce((max, z, i) => Math.max(max, Math.abs(z - expected[i])), 0);
  expect(worst).toBeLessThan(1e-5);
}

const original = absent("golden/orig_llama_mha");
test.skipIf(original !== "").each<[GateActivation, string]>([
  ["tanh", "logits_tanh_gate"],
  ["none", "logits_raw_gate"],
])(
  `the original code's adapter, gates per head, activation %s [B8, L10]${original}`,
  async (gateActivation, logits) => {
    const model = await loadModel(sharedPath("golden/llama_mha/base"));
    const values = readTensors(sharedPath("golden/orig_llama_mha/tensors.safetensors"));
    const file = sharedPath("golden/orig_llama_mha/adapter_orig.pth");
    const { shape, params } = await loadAdapter(file, model.config, { originalGate: gateActivation });
    const layout = adapterLayout(shape, model.config);
    await expectRow0(model, { layout, params }, values.ints("input_ids"), values.f32(logits));
  },
);

const biased = absent("golden/llama_bias");
test.skipIf(biased !== "")(
  `a model with an output bias gets it once, zero gates are the base, or twice as in PEFT [B6]${biased}`,
  async () => {
    const folder = sharedPath("golden/llama_bias");
    const model = await loadModel(`${folder}/base`);
    const values = readTensors(`${folder}/tensors.safetensors`);
    const ids = values.ints("input_ids");
    const { shape, params } = await loadAdapter(`${folder}/adapter`, model.config);
    const layout = adapterLayout(shape, model.config);
    await expectRow0(model, undefined, ids, values.f32("logits_base"));
    await expectRow0(model, { layout, params }, ids, values.f32("logits_gates_single_bias"));
    const doubled = adapterLayout({ ...shape, outputBiasTimes: "twice" }, model.config);
    await expectRow0(model, { layout: doubled, params }, ids, values.f32("logits_gates_peft"));
    for (const { gate } of layerParts(layout)) params[gate.offset] = 0;
    await expectRow0(model, { layout: doubled, params }, ids, values.f32("logits_zero_gate_peft"));
    const closed = await tokenLogits(model, { layout, params }, oneSequence(ids));
    expect(closed).toEqual(await tokenLogits(model, undefined, oneSequence(ids)));
  },
);
