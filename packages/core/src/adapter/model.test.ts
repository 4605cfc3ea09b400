import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { adapterConfig, labelled, tinyConfig, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { packCell } from "../cell/tokens.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { InputError } from "../errors.ts";
import { narrow, widen } from "../formats/dtype.ts";
import { createModel } from "../model/decoder.ts";
import { sum } from "../model/gradient.ts";
import { parameterCount } from "../model/hf_names.ts";
import { oneSequence, packSequences, tokenLogits } from "../model/logits.ts";
import { adapterLayout, layerParts } from "./kinds/adaption_prompt.ts";
import { AdaptionPromptModel, trainableLine } from "./model.ts";
import type { NewAdapterOptions } from "./new_adapter.ts";
import { partNumbers } from "./parameters.ts";

const { model: base, config, image } = tinyModel();
const sequence = oneSequence([4, 9, 22, 0, 17]);
const cell = packCell(tinyTokens(config, [8, 5]), [0, 1]);

/** Makes a model with adapters of these names; the first is active. */
function modelWith(...names: string[]): AdaptionPromptModel {
  const model = new AdaptionPromptModel(base);
  for (const [i, name] of names.entries()) model.addAdapter(name, adapterConfig(), { seed: i });
  return model;
}

/** One step of SGD with rate 1, as PEFT's own test takes it. */
async function train(model: AdaptionPromptModel): Promise<void> {
  const { params } = model.adapter(model.activeAdapter ?? "");
  const { gradient } = await model.gradient(cell, 1 / labelled(cell));
  for (const [i, g] of gradient.entries()) params[i] -= g;
}

/** All numbers of a float32 block as a bf16 checkpoint would hold them. */
function roundedToBf16(bytes: ArrayBufferLike): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(bytes.byteLength);
  widen("bf16", narrow(new Float32Array(bytes), "bf16"), new Float32Array(copy));
  return copy;
}

const baseLogits = await new AdaptionPromptModel(base).logits(sequence);

test.each(["3", "self", "model", "default", "__proto__", "constructor", "a b/c", "日本"])(
  "an adapter may be called %j [D4, P20]",
  async (name) => {
    const model = modelWith("other", name);
    expect(model.adapterNames).toEqual(["other", name]);
    model.setAdapter(name);
    expect(model.activeAdapter).toBe(name);
    await train(model);
    const logits = await model.logits(sequence);
    model.setAdapter("other");
    expect(await model.logits(sequence)).toEqual(baseLogits);
    model.setAdapter(name);
    expect(await model.logits(sequence)).toEqual(logits);
    model.deleteAdapter(name);
    expect(model.adapterNames).toEqual(["other"]);
  },
);

test("a name that is unknown, taken or empty is refused, and nothing changes", () => {
  const model = modelWith("one", "two");
  const one = model.adapter("one");
  const unknown = new InputError('Cannot find adapter "zwei"', 'adapters of this model: "one", "two"');
  expect(() => model.adapter("zwei")).toThrow(unknown);
  expect(() => model.setAdapter("zwei")).toThrow(unknown);
  expect(() => model.deleteAdapter("zwei")).toThrow(unknown);
  expect(() => new AdaptionPromptModel(base).setAdapter("toString")).toThrow("adapters of this model: none");
  expect(() => model.addAdapter("one", adapterConfig())).toThrow(InputError);
  expect(() => model.addAdapter("one", adapterConfig())).toThrow(
    'Cannot add adapter "one": an adapter of this name exists',
  );
  expect(() => model.addAdapter("", adapterConfig())).toThrow(InputError);
  expect([model.activeAdapter, model.adapterNames]).toEqual(["one", ["one", "two"]]);
  expect(model.adapter("one").params, "the old one is kept").toBe(one.params);
});

test("a config that does not fit the model and params of another adapter are refused, and nothing is added", () => {
  const model = modelWith();
  expect(() => model.addAdapter("a", adapterConfig({ adapterLayers: 4 }))).toThrow(
    "the model has 3 layers: use 1 to 3",
  );
  expect(() => model.addAdapter("a", adapterConfig({ adapterLayers: 0 }))).toThrow(InputError);
  const shape = { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" } as const;
  expect(() => model.addAdapter("a", { config: adapterConfig(), shape, params: new Float32Array(5) })).toThrow(
    new InputError('Cannot add adapter "a"', "expected 74 numbers for K=3, L=2 and scalar gates, got 5"),
  );
  const longer = { ...shape, promptLength: 4 };
  expect(() => model.addAdapter("a", { config: adapterConfig(), shape: longer, params: new Float32Array(98) })).toThrow(
    new InputError(
      'Cannot add adapter "a"',
      "its config says K=3, L=2, its shape K=4, L=2: take both from one adapter",
    ),
  );
  expect([model.activeAdapter, model.adapterNames]).toEqual([undefined, []]);
});

test("params without their shape do not type-check, and are refused in JavaScript [T-A7]", () => {
  const model = modelWith("one");
  const { config: own, params } = model.adapter("one");
  // @ts-expect-error: the README of 0.1.0 said so, and lost the gate
  expect(() => model.addAdapter("a", own, { params })).toThrow(
    'Cannot add adapter "a": its params come without the shape that says what they mean, pass what loadAdapter returns: addAdapter("a", await loadAdapter(folder, config))',
  );
  // @ts-expect-error: a config and params, no shape
  expect(() => model.addAdapter("a", { config: own, params })).toThrow("its params come without their shape");
  const trained = { config: own, shape: model.adapter("one").layout, params };
  // @ts-expect-error: a trained adapter has its own gate
  expect(() => model.addAdapter("a", trained, { gateActivation: "tanh" })).toThrow(
    "gateActivation is for fresh adapters",
  );
  expect(model.adapterNames).toEqual(["one"]);
});

test("the target module is filled in, and gates are PEFT's unless asked for otherwise", () => {
  const model = modelWith();
  const adapter = model.addAdapter("peft", adapterConfig());
  expect(adapter.config.targetModules).toBe("self_attn");
  expect(adapter.layout).toMatchObject({
    shape: { gateSharing: "scalar", gateActivation: "none" },
    length: 2 * (3 * 12 + 1),
  });
  const options: NewAdapterOptions = { gateSharing: "per-head", gateActivation: "tanh" };
  expect(model.addAdapter("paper", adapterConfig(), options).layout).toMatchObject({
    shape: options,
    length: 2 * (3 * 12 + 4),
  });
});

test("sequences of one pass may name their adapters and scales; while disabled all are the base", async () => {
  const model = modelWith("a", "b", "c");
  for (const name of model.adapterNames) {
    model.setAdapter(name);
    await train(model);
  }
  model.setAdapter("b");
  const ids = [4, 9, 22, 0, 17];
  const tokens = packSequences(Array.from({ length: 5 }, () => ({ ids })));
  const choices = [{ adapter: "a" }, {}, { adapter: null }, { adapter: "c", scale: 0 }, { adapter: "c" }];
  const rows = await model.mixedLogits(tokens, choices);
  const V = rows.length / 5;
  const found = choices.map((_, s) => rows.slice(s * V, (s + 1) * V));
  const alone: Float32Array[] = [];
  for (const name of ["a", "b", "c"]) {
    model.setAdapter(name);
    alone.push(await model.logits(sequence));
  }
  expect(found).toEqual([alone[0], alone[1], baseLogits, baseLogits, alone[2]]);
  model.disableAdapterLayers();
  expect((await model.mixedLogits(tokens, choices)).slice(0, V)).toEqual(baseLogits);
  await expect(model.mixedLogits(tokens, [{ adapter: "d" }])).rejects.toThrow('Cannot find adapter "d"');
  await expect(model.mixedLogits(tokens, [{ scale: 2 }])).rejects.toThrow("the scale is 2, use 0");
  await expect(model.mixedLogits(tokens, [])).rejects.toThrow("prompts are given for 0");
});

test("a batch of texts names adapters, each text as it is alone", async () => {
  const model = modelWith("a", "b");
  for (const name of model.adapterNames) {
    const { params, layout } = model.adapter(name);
    for (const { gate } of layerParts(layout)) params[gate.offset] = name === "a" ? 2 : -2;
  }
  const how = { maxNewTokens: 6, eosTokenIds: [] };
  const choices = [{ adapter: "b" }, {}, { adapter: null }, { adapter: "b", scale: 0.5 }];
  const batch = choices.map((): number[] => []);
  const texts = choices.map((choice) => ({ ...choice, ...how, promptIds: [4, 9, 22] }));
  for await (const event of model.generateBatch(texts)) if ("id" in event) batch[event.request].push(event.id);
  const alone = choices.map(async (choice) => {
    const ids: number[] = [];
    for await (const id of model.generate([4, 9, 22], { ...how, ...choice })) ids.push(id);
    return ids;
  });
  expect(batch).toEqual(await Promise.all(alone));
  expect(new Set(batch.map(String)).size).toBe(4);
  expect(() => model.generateBatch([{ ...how, promptIds: [1], adapter: "c" }])).toThrow('Cannot find adapter "c"');
});

test("litgpt's bug #1287 cannot happen: validate, train, validate; the prompts get a gradient and the cache follows [F2, L9]", async () => {
  const model = modelWith("default");
  const { params, layout } = model.adapter("default");
  for (const { gate } of layerParts(layout)) params[gate.offset] = 0.5;
  const prompts = (gradient: Float32Array) =>
    layerParts(layout).map(({ prompt }) => partNumbers(prompt, gradient).some((g) => g !== 0));
  const before = await model.logits(sequence);
  for (let step = 0; step < 3; step++) {
    const lossBefore = sum(await model.losses(cell));
    const expected = await tokenLogits(base, { layout, params }, sequence);
    expect(await model.logits(sequence), "cached prompts are those of now").toEqual(expected);
    const { gradient, lossSum } = await model.gradient(cell, 1 / labelled(cell));
    expect(prompts(gradient), "every layer's prompts get a gradient").toEqual([true, true]);
    expect(lossSum).toBe(lossBefore);
    for (const [i, g] of gradient.entries()) params[i] -= 0.1 * g;
    expect(sum(await model.losses(cell)), "and following it helps").toBeLessThan(lossBefore);
  }
  expect(await model.logits(sequence)).not.toEqual(before);
});

test("adapters go along to a base of another engine or precision, and switching works there as before [D3]", async () => {
  const first = modelWith("a", "b");
  for (const name of first.adapterNames) {
    first.setAdapter(name);
    await train(first);
  }
  const rounded = { ...image, bytes: roundedToBf16(image.bytes) };
  const moved = new AdaptionPromptModel(createModel(createReferenceEngine(), config, rounded));
  for (const name of first.adapterNames) {
    const { config: own, layout, params } = first.adapter(name);
    moved.addAdapter(name, { config: own, shape: layout.shape, params });
  }
  for (const name of ["a", "b", "a"]) {
    moved.setAdapter(name);
    const expected = await tokenLogits(moved.base, first.adapter(name), sequence);
    expect(await moved.logits(sequence)).toEqual(expected);
    first.setAdapter(name);
    expect(await first.logits(sequence), "another precision").not.toEqual(expected);
  }
});

test("what PEFT cannot do with prompts is refused in words", () => {
  const model = modelWith("a");
  expect(() => model.mergeAdapter()).toThrow(
    "Cannot merge an adapter into the base: adaption prompts are not a change",
  );
  expect(() => new AdaptionPromptModel(model as never)).toThrow("Cannot wrap an AdaptionPromptModel");
});

test("cached prompts are given back when an adapter is deleted, or all at once, and made again", async () => {
  const { engine, live } = recordingEngine();
  const model = new AdaptionPromptModel(tinyModel({}, engine).model);
  for (const name of ["a", "b"]) model.addAdapter(name, adapterConfig());
  const logits = await model.logits(sequence);
  model.setAdapter("b");
  await model.logits(sequence);
  expect(live.size).toBe(4);
  model.deleteAdapter("b");
  expect(live.size).toBe(2);
  model.releasePrompts();
  expect(live.size).toBe(0);
  expect(await model.logits(sequence)).toEqual(logits);
  expect(live.size).toBe(2);
});

test("losses and generated text follow the active adapter", async () => {
  const model = modelWith("default");
  const baseLosses = await model.losses(cell);
  const text = async () => {
    const ids: number[] = [];
    for await (const id of model.generate([4, 9, 22], { maxNewTokens: 12, eosTokenIds: [] })) ids.push(id);
    return ids;
  };
  const baseText = await text();
  const { params, layout } = model.adapter("default");
  for (const { gate } of layerParts(layout)) params[gate.offset] = 3;
  expect(await model.losses(cell)).not.toEqual(baseLosses);
  expect(await text()).not.toEqual(baseText);
  await model.withAdapterDisabled(async () => {
    expect(await model.losses(cell)).toEqual(baseLosses);
    expect(await text()).toEqual(baseText);
  });
});

test("an adapter for inference has nothing to train; neither has a disabled one or none [D6]", async () => {
  const model = new AdaptionPromptModel(base);
  await expect(model.gradient(cell, 1)).rejects.toThrow("no adapter is active and enabled");
  model.addAdapter("frozen", adapterConfig({ inferenceMode: true }));
  await expect(model.gradient(cell, 1)).rejects.toThrow(InputError);
  await expect(model.gradient(cell, 1)).rejects.toThrow("the active adapter was added with inferenceMode");
  const all = parameterCount(config) + 74;
  expect(model.parameterCounts()).toEqual({ trainable: 0, all });
  model.addAdapter("trained", adapterConfig());
  model.setAdapter("trained");
  expect(model.parameterCounts()).toEqual({ trainable: 74, all });
  model.disableAdapterLayers();
  await expect(model.gradient(cell, 1)).rejects.toThrow("no adapter is active and enabled");
  expect(model.parameterCounts()).toEqual({ trainable: 0, all: parameterCount(config) });
});

test("the line of counts is PEFT's, for LLaMA-7B with 30 layers of 10 prompts", () => {
  const llama = tinyConfig({
    vocabSize: 32_000,
    hiddenSize: 4096,
    intermediateSize: 11_008,
    layers: 32,
    heads: 32,
    kvHeads: 32,
    headDim: 128,
  });
  const shape = { promptLength: 10, adaptedLayers: 30, gateSharing: "scalar", gateActivation: "none" } as const;
  const trainable = adapterLayout(shape, llama).length;
  const all = parameterCount(llama) + trainable;
  // Spec §4.3 has 6,739,644,446 for all: the base of 6,738,415,616 and the adapter.
  expect(trainableLine({ trainable, all })).toBe(
    "trainable params: 1,228,830 || all params: 6,739,644,446 || trainable%: 0.0182",
  );
});
