/** Adapters of a model switched, disabled and deleted, as PEFT's own tests do it. */
import { describe, expect, test } from "vitest";
import { adapterConfig, labelled, tinyModel, tinyTokens } from "../../test/tiny_model.ts";
import { packCell } from "../cell/tokens.ts";
import { oneSequence } from "../model/logits.ts";
import { AdaptionPromptModel } from "./model.ts";

const { model: base, config } = tinyModel();
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

const baseLogits = await new AdaptionPromptModel(base).logits(sequence);

describe("PEFT's sequences, where equal means bit for bit (spec §6.1)", () => {
  test("zero gate, train, disable, a second adapter, disable, back to the first [P8, D1]", async () => {
    const model = modelWith("default");
    expect(await model.logits(sequence)).toEqual(baseLogits);
    await train(model);
    const first = await model.logits(sequence);
    expect(first).not.toEqual(baseLogits);
    model.disableAdapterLayers();
    expect(await model.logits(sequence)).toEqual(baseLogits);
    model.enableAdapterLayers();

    model.addAdapter("second", adapterConfig({ adapterLen: 8, adapterLayers: 3 }));
    model.setAdapter("second");
    expect(await model.logits(sequence)).toEqual(baseLogits);
    await train(model);
    const second = await model.logits(sequence);
    expect(second).not.toEqual(baseLogits);
    expect(second).not.toEqual(first);
    await model.withAdapterDisabled(async () => expect(await model.logits(sequence)).toEqual(baseLogits));
    model.setAdapter("default");
    expect(await model.logits(sequence)).toEqual(first);
    model.setAdapter("second");
    expect(await model.logits(sequence)).toEqual(second);
  });

  test("adding and setting while disabled take effect on enabling [P9, D1]", async () => {
    const model = modelWith("default");
    await train(model);
    const first = await model.logits(sequence);
    model.disableAdapterLayers();
    model.addAdapter("second", adapterConfig({ adapterLen: 5 }));
    expect(await model.logits(sequence)).toEqual(baseLogits);
    model.setAdapter("second");
    expect(await model.logits(sequence)).toEqual(baseLogits);
    model.enableAdapterLayers();
    await train(model);
    const second = await model.logits(sequence);
    expect(second).not.toEqual(first);
    model.disableAdapterLayers();
    model.setAdapter("default");
    model.enableAdapterLayers();
    expect(await model.logits(sequence)).toEqual(first);
  });

  test("adapters keep their own numbers; adding leaves the active one; deleting it activates the oldest left [P14, P15, P16, D1]", async () => {
    const model = modelWith("a", "b", "c");
    expect(model.activeAdapter).toBe("a");
    const logits = new Map<string, Float32Array>();
    for (const name of model.adapterNames) {
      model.setAdapter(name);
      await train(model);
      logits.set(name, await model.logits(sequence));
    }
    expect(logits.get("a")).not.toEqual(logits.get("b"));
    model.setAdapter("b");
    const { config: own, layout, params } = model.adapter("c");
    model.addAdapter("d", { config: own, shape: layout.shape, params: params.slice() });
    expect(model.activeAdapter).toBe("b");
    expect(await model.logits(sequence)).toEqual(logits.get("b"));

    model.deleteAdapter("c");
    expect(model.activeAdapter).toBe("b");
    model.deleteAdapter("b");
    expect([model.activeAdapter, model.adapterNames]).toEqual(["a", ["a", "d"]]);
    expect(await model.logits(sequence)).toEqual(logits.get("a"));
    model.deleteAdapter("a");
    expect(await model.logits(sequence), "c's numbers").toEqual(logits.get("c"));
    model.deleteAdapter("d");
    expect([model.activeAdapter, model.adapterNames]).toEqual([undefined, []]);
    expect(await model.logits(sequence)).toEqual(baseLogits);
    model.addAdapter("e", adapterConfig());
    expect(model.activeAdapter).toBe("e");
  });
});

test("enabling and disabling twice is the same as once, with and without adapters [D2]", async () => {
  for (const model of [modelWith(), modelWith("default")]) {
    model.enableAdapterLayers();
    expect(model.isEnabled).toBe(true);
    for (let i = 0; i < 2; i++) model.disableAdapterLayers();
    expect(model.isEnabled).toBe(false);
    expect(await model.logits(sequence)).toEqual(baseLogits);
    for (let i = 0; i < 2; i++) model.enableAdapterLayers();
    expect(model.isEnabled).toBe(true);
  }
});

test("disabling for a while nests and restores what was before, also after errors [D2]", async () => {
  const model = modelWith("default");
  const seen: boolean[] = [];
  const failing = model.withAdapterDisabled(async () => {
    await model.withAdapterDisabled(async () => seen.push(model.isEnabled));
    seen.push(model.isEnabled);
    await expect(model.withAdapterDisabled(() => Promise.reject(new Error("inner")))).rejects.toThrow("inner");
    seen.push(model.isEnabled);
    throw new Error("outer");
  });
  await expect(failing).rejects.toThrow("outer");
  expect([seen, model.isEnabled]).toEqual([[false, false, false], true]);
  model.disableAdapterLayers();
  expect(await model.withAdapterDisabled(async () => 7)).toBe(7);
  expect(model.isEnabled).toBe(false);
});
