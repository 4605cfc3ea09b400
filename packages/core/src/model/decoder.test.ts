import { expect, test } from "vitest";
import { tinyBases } from "../../test/tiny_bases.ts";
import { gateKinds, tinyAdapter, tinyConfig, tinyImage, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { packCell } from "../cell/tokens.ts";
import type { DeviceArray, Engine, PromptSet } from "../engine/engine.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { normal } from "../random.ts";
import { createModel } from "./decoder.ts";
import { preparePrompts } from "./forward.ts";
import { cellGradient } from "./gradient.ts";
import { mixedLogits, oneSequence, packSequences, tokenLogits } from "./logits.ts";
import { weightNames } from "./weights.ts";

const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
const ids = [4, 9, 22, 0, 17, 30, 5, 5, 11];
const sequence = oneSequence(ids);

/** Largest difference of two logit vectors; NaN if one has NaN. */
function distance(a: Float32Array, b: Float32Array): number {
  return a.reduce((max, x, i) => Math.max(max, Math.abs(x - b[i])), 0);
}

for (const { title, changes } of tinyBases) {
  test.each(gateKinds)(
    `zero gates give the bits of the base (${title}; $gateSharing, $gateActivation) [B1, P12]`,
    async (kind) => {
      const { model, config } = tinyModel(changes);
      const base = await tokenLogits(model, undefined, sequence);
      const closed = tinyAdapter(config, kind, { gates: 0 });
      expect(bits(await tokenLogits(model, closed, sequence))).toEqual(bits(base));
      const open = await tokenLogits(model, tinyAdapter(config, kind), sequence);
      expect(distance(open, base), "and others do not").toBeGreaterThan(0.01);
    },
  );
}

test("a zero gate hides even prompts that overflow", async () => {
  const { model, config } = tinyModel();
  const closed = tinyAdapter(config, {}, { gates: 0 });
  for (const { prompt } of layerParts(closed.layout)) partNumbers(prompt, closed.params).fill(3e38);
  const base = await tokenLogits(model, undefined, sequence);
  expect(bits(await tokenLogits(model, closed, sequence))).toEqual(bits(base)); // 0 · Infinity would be NaN
});

test("a packed sequence has the bits of the same sequence alone", async () => {
  const { model, config } = tinyModel({ slidingWindow: 3, qkvBias: true, outputBias: true });
  const adapter = tinyAdapter(config);
  const packed = {
    ids_T: Int32Array.from([...ids, 7, 8, 3, ...ids.slice(0, 2)]),
    positions_T: Int32Array.from([...ids.keys(), 0, 1, 2, 0, 1]),
    cuSeqlens: Int32Array.of(0, 9, 12, 14),
  };
  const whole = await tokenLogits(model, adapter, packed);
  const alone = [ids, [7, 8, 3], ids.slice(0, 2)].map((own) => tokenLogits(model, adapter, oneSequence(own)));
  const parts = (await Promise.all(alone)).flatMap((logits) => [...bits(logits)]);
  expect([...bits(whole)]).toEqual(parts);
});

test("what the prompts add to attention is affine in the gate", async () => {
  const { model, config } = tinyModel();
  const { engine } = model;
  const { heads: H, kvHeads: G, headDim: d, slidingWindow: window } = config;
  const [T, K] = [4, 3];
  const random = (length: number, key: number) =>
    engine.upload(Float32Array.from({ length }, (_, i) => normal(key, i)));
  await engine.arena(async () => {
    const [o_TQ, qkv_TX, kv_KY] = [random(T * H * d, 1), random(T * (H + 2 * G) * d, 2), random(K * 2 * G * d, 3)];
    const at = (gate: number) => {
      const gate_H = new Float32Array(H).fill(gate);
      const set: PromptSet = { kv_RY: kv_KY, rows: [0, K], tokens: [0, T], gate_H };
      return engine.read(engine.promptAttention(o_TQ, { qkv_TX, sets: [set] }, { T, H, G, d, window }));
    };
    const [zero, one, minusThree] = [await at(0), await at(1), await at(-3)];
    const line = zero.map((y, i) => y - 3 * (one[i] - y));
    expect(distance(minusThree, line)).toBeLessThan(3e-6); // values up to 10: a few units in the last place
  });
});

test("the order of the prompts does not matter", async () => {
  const { model, config } = tinyModel({ qkvBias: true, outputBias: true });
  const adapter = tinyAdapter(config, { promptLength: 5, gateSharing: "per-head" });
  const D = config.hiddenSize;
  const params = adapter.params.slice();
  for (const { prompt } of layerParts(adapter.layout)) {
    for (const [to, from] of [3, 0, 4, 1, 2].entries()) {
      const row_D = partNumbers(prompt, adapter.params).subarray(from * D, (from + 1) * D);
      partNumbers(prompt, params).set(row_D, to * D);
    }
  }
  const logits = await tokenLogits(model, adapter, sequence);
  const permuted = await tokenLogits(model, { ...adapter, params }, sequence);
  expect(distance(permuted, logits)).toBeLessThan(1e-5); // logits up to 5: relative 2e-6
});

test("shifting all positions leaves the base alone and moves the adapter, except if its one prompt leaves no choice [B3]", async () => {
  const { model, config } = tinyModel();
  const shifted = oneSequence(ids, 11);
  const shift = async (promptLength: number) => {
    const adapter = promptLength > 0 ? tinyAdapter(config, { promptLength }) : undefined;
    return distance(await tokenLogits(model, adapter, sequence), await tokenLogits(model, adapter, shifted));
  };
  const rounding = 2e-5; // angles are float32 and larger by 11 radians
  expect(await shift(0)).toBeLessThan(rounding);
  expect(await shift(1), "K = 1: the softmax is 1 for every query").toBeLessThan(rounding);
  expect(await shift(3)).toBeGreaterThan(0.01);
});

test("an engine that does attention and prompts at once is asked for both, except for gpt2 and the base", async () => {
  const plain = createReferenceEngine();
  const asked: string[] = [];
  const base_TQ = new Map<DeviceArray, DeviceArray>();
  const engine: Engine = {
    ...plain,
    promptedAttention(input, cuSeqlens, size) {
      asked.push("forward");
      const { o_TQ, lse_TH } = plain.attention(input.qkv_TX, cuSeqlens, size);
      const y_TQ = plain.promptAttention(o_TQ, input, size);
      base_TQ.set(y_TQ, o_TQ);
      return input.sets.some(({ rows: [first, end] }) => end - first > 3) ? undefined : { y_TQ, lse_TH };
    },
    promptedAttentionBackward({ y_TQ, ...input }, cuSeqlens, { withInput, ...size }) {
      asked.push(withInput ? "backward" : "lowest");
      const o_TQ = base_TQ.get(y_TQ) as DeviceArray;
      const dqkv_TX = withInput ? plain.attentionBackward({ ...input, o_TQ }, cuSeqlens, size) : undefined;
      const prompts = plain.promptAttentionBackward({ ...input, ...(dqkv_TX && { dqkv_TX }) }, size);
      return { dqkv_TX, prompts };
    },
  };
  for (const { title, changes } of tinyBases) {
    for (const promptLength of [3, 4]) {
      const [both, apart] = [engine, plain].map((one) => {
        const { config, model } = tinyModel(changes, one);
        const adapter = tinyAdapter(config, { adaptedLayers: 2, promptLength });
        return cellGradient(model, adapter, packCell(tinyTokens(config, [5, 2]), [0, 1]), 0.25);
      });
      expect(await both, title).toEqual(await apart);
      const isAsked = title !== "gpt2";
      const isTaken = isAsked && promptLength === 3;
      expect(asked.splice(0), title).toEqual([
        ...(isAsked ? ["forward", "forward"] : []),
        ...(isTaken ? ["backward", "lowest"] : []),
      ]);
    }
  }

  const { config, model } = tinyModel({}, engine);
  const prompts = await engine.arena(async () => {
    const own = [1, 2].map((seed) => preparePrompts(model, tinyAdapter(config, { promptLength: 2 }, { seed })));
    for (const one of own) for (const { kv_KY } of one.layers.values()) engine.keep(kv_KY);
    return own;
  });
  const tokens = packSequences([{ ids: [3, 4] }, { ids: [5] }]);
  const [first, second] = prompts.map((one) => ({ prompts: one, scale: 0.5 }));
  await mixedLogits(model, [undefined, undefined], tokens);
  expect(asked.splice(0)).toEqual([]);
  await mixedLogits(model, [first, second], tokens);
  expect(asked.length).toBeGreaterThan(0);
});

test("a gpt2 refuses a position that it has not learned", async () => {
  const { model } = tinyModel(tinyBases[5].changes);
  await tokenLogits(model, undefined, oneSequence([1, 2], 62));
  await expect(tokenLogits(model, undefined, oneSequence([1, 2], 63))).rejects.toThrow(
    new RangeError("Cannot embed position 64: the model has learned 64 positions"),
  );
});

test("a model without one of its weights cannot be built; a tied head is the embedding", () => {
  const config = tinyConfig({ tiedEmbeddings: true });
  const image = tinyImage(config);
  const model = createModel(createReferenceEngine(), config, image);
  expect(model.head).toBe(model.embed);
  expect(() => createModel(createReferenceEngine(), { ...config, tiedEmbeddings: false }, image)).toThrow(
    new RangeError('Cannot build the model: the weight image has no "head"'),
  );
  const { [weightNames.layer(2, "down")]: _, ...places } = image.places;
  expect(() => createModel(createReferenceEngine(), config, { ...image, places })).toThrow('has no "layers.2.down"');
});

test("a base with soft caps is refused by an engine that does not know them", () => {
  const engine: Engine = { ...createReferenceEngine(), name: "mine", softCaps: false };
  const plain = { modelType: "gemma2", outputNorms: "after", tiedEmbeddings: true } as const;
  const capped = { ...plain, logitCap: 30 };
  expect(() => tinyModel(capped, engine)).toThrow(
    "Cannot compute a gemma2 base on the engine mine: its scores and logits are under soft caps, which this engine does not know (softCaps): use another engine",
  );
  tinyModel(plain, engine);
  tinyModel(capped);
});
