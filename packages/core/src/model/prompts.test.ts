import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { gateKinds, tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { adaptableLayers } from "../adapter/layout.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { effectiveGate } from "../adapter/parts/gate.ts";
import { mixedLogits, oneSequence, packSequences, tokenLogits } from "./logits.ts";
import { openPromptCache } from "./prompt_cache.ts";
import { promptsBySequence, type SequencePrompts } from "./prompts.ts";

const bits = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];

/** The same prompts with effective gates times `scale`, stored without a tanh. */
function blended({ layout, params }: AdapterState, scale: number): AdapterState {
  const copy = params.slice();
  for (const { gate } of layerParts(layout)) {
    const stored = partNumbers(gate, params);
    const gates = effectiveGate(stored, layout.shape.gateActivation, stored.length);
    for (const [i, factor] of gates.entries()) copy[gate.offset + i] = scale * factor;
  }
  return { layout: { ...layout, shape: { ...layout.shape, gateActivation: "none" } }, params: copy };
}

test.each(tinyBases)(
  "eight sequences of one pass with four adapters have the bits of eight passes ($title)",
  async ({ changes }) => {
    const { model, config } = tinyModel(changes);
    const most = Math.min(3, adaptableLayers(config).length);
    const adapters = gateKinds.map((kind, i) => {
      const outputBiasTimes = i % 2 === 0 ? "once" : "twice";
      const shape = { ...kind, promptLength: 1 + 2 * i, adaptedLayers: 1 + (i % most), outputBiasTimes } as const;
      return tinyAdapter(config, shape, { seed: 20 + i });
    });
    const cache = openPromptCache(model);
    const leases = await Promise.all(adapters.map((adapter) => cache.lease(adapter)));
    const own = [0, 1, 1, undefined, 2, 3, 0, 3];
    const sequences = own.map((_, s) => ({
      ids: Array.from({ length: 3 + (s % 5) }, (__, i) => (7 * s + 5 * i) % 31),
    }));
    const chosen = own.map((a): SequencePrompts | undefined =>
      a === undefined ? undefined : { prompts: leases[a].prompts, scale: 1 },
    );
    const mixed = await mixedLogits(model, chosen, packSequences(sequences));
    const alone: number[] = [];
    for (const [s, a] of own.entries()) {
      const adapter = a === undefined ? undefined : adapters[a];
      alone.push(...bits(await tokenLogits(model, adapter, oneSequence(sequences[s].ids))));
    }
    expect(bits(mixed)).toEqual(alone);
  },
);

test("a scale multiplies the effective gate: 0 is the base, 1 the adapter, bit for bit, and between them it blends", async () => {
  const { model, config } = tinyModel();
  const tokens = oneSequence([4, 9, 22, 0, 17]);
  const cache = openPromptCache(model);
  for (const kind of gateKinds) {
    const adapter = tinyAdapter(config, kind);
    const { prompts } = await cache.lease(adapter);
    const at = (scale: number) => mixedLogits(model, [{ prompts, scale }], tokens);
    expect(bits(await at(0))).toEqual(bits(await tokenLogits(model, undefined, tokens)));
    expect(bits(await at(1))).toEqual(bits(await tokenLogits(model, adapter, tokens)));
    expect(bits(await at(0.25))).toEqual(bits(await tokenLogits(model, blended(adapter, 0.25), tokens)));
  }
});

test("neighbours with the same adapter are one range; the base and a scale of 0 make none", () => {
  const [a, b] = [{ layers: new Map() }, { layers: new Map() }];
  const sequences = [{ prompts: a, scale: 1 }, { prompts: a, scale: 1 }, undefined, { prompts: a, scale: 0.5 }];
  sequences.push({ prompts: b, scale: 0.5 }, { prompts: b, scale: 0 }, { prompts: b, scale: 0.5 });
  const ranges = promptsBySequence(sequences, Int32Array.of(0, 2, 5, 6, 8, 9, 11, 12));
  expect(ranges.map(({ prompts, scale, tokens }) => [prompts === a ? "a" : "b", scale, tokens])).toEqual([
    ["a", 1, [0, 5]],
    ["a", 0.5, [6, 8]],
    ["b", 0.5, [8, 9]],
    ["b", 0.5, [11, 12]],
  ]);
  expect(() => promptsBySequence(sequences, Int32Array.of(0, 1))).toThrow(
    "Cannot run 1 sequences: prompts are given for 7",
  );
});

test.each([0, 4])(
  "cached prompts are those of the current parameters, for any changed number (at byte %i) [F2]",
  async (at) => {
    const { engine, live, calls } = recordingEngine();
    const { model, config } = tinyModel({}, engine);
    const { layout, params } = tinyAdapter(config, { promptLength: 2, adaptedLayers: 1 + at / 4 });
    const adapter = { layout, params: new Float32Array(new ArrayBuffer(at + params.byteLength), at) };
    adapter.params.set(params);
    const cache = openPromptCache(model);
    const tokens = oneSequence([4, 9, 22]);
    const logits = async () => {
      const lease = await cache.lease(adapter);
      const found = await mixedLogits(model, [{ prompts: lease.prompts, scale: 1 }], tokens);
      lease.release();
      return found;
    };
    for (let i = -1; i < adapter.params.length; i++) {
      if (i >= 0) adapter.params[i] += 0.5;
      expect(bits(await logits()), `after a change of number ${i}`).toEqual(
        bits(await tokenLogits(model, adapter, tokens)),
      );
      expect(live.size, "no old entry is left").toBe(layout.shape.adaptedLayers);
    }
    const before = calls("linear").length;
    await logits();
    const again = calls("linear").length;
    await tokenLogits(model, adapter, tokens);
    expect(calls("linear").length - again, "its keys and values are saved").toBe(
      again - before + layout.shape.adaptedLayers,
    );
    cache.close();
    expect(live.size).toBe(0);
  },
);

test("what is leased lives on when the parameters change or the adapter is forgotten, until it is released", async () => {
  const { engine, live } = recordingEngine();
  const { model, config } = tinyModel({}, engine);
  const adapter = tinyAdapter(config);
  const cache = openPromptCache(model);
  const [one, same] = await Promise.all([cache.lease(adapter), cache.lease(adapter)]);
  expect(same.prompts).toBe(one.prompts);
  adapter.params[0] += 1;
  const changed = await cache.lease(adapter);
  expect(changed.prompts).not.toBe(one.prompts);
  expect(live.size).toBe(4);
  for (let i = 0; i < 2; i++) one.release(); // twice is once
  expect(live.size).toBe(4);
  same.release();
  expect(live.size).toBe(2);
  cache.drop(adapter);
  expect(live.size).toBe(2);
  changed.release();
  expect(live.size).toBe(0);
});
