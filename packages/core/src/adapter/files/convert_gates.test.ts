import * as fc from "fast-check";
import { expect, test } from "vitest";
import { InputError } from "../../errors.ts";
import { adapterLayout, layerParts } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import { partNumbers } from "../parameters.ts";
import type { GateActivation, GateSharing } from "../parts/gate.ts";
import { effectiveGate } from "../parts/gate.ts";
import { convertGates, type GateConversion, gateReductions } from "./convert_gates.ts";

const base = { modelType: "llama", outputBias: false, layers: 5, hiddenSize: 8, heads: 4 } as const;

/** Two layers of three prompts with these gates. */
function adapter(gateSharing: GateSharing, gateActivation: GateActivation, ...gates: number[][]): AdapterState {
  const layout = adapterLayout({ promptLength: 3, adaptedLayers: gates.length, gateSharing, gateActivation }, base);
  const params = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(i));
  for (const [i, { gate }] of layerParts(layout).entries()) partNumbers(gate, params).set(gates[i]);
  return { layout, params };
}

function problems(state: AdapterState, target: GateConversion): readonly string[] {
  try {
    convertGates(state, target);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

const peft = { gateSharing: "scalar", gateActivation: "none" } as const;
const litgpt = { gateSharing: "per-head", gateActivation: "none" } as const;
const original = { gateSharing: "per-head", gateActivation: "tanh" } as const;

test("a scalar gate becomes one per head, of the same effect, and comes back", () => {
  const state = adapter("scalar", "none", [0.75], [-0.25]);
  for (const target of [litgpt, original]) {
    const there = convertGates(state, target);
    expect(there.state.layout.shape).toMatchObject(target);
    for (const [i, { gate }] of layerParts(there.state.layout).entries()) {
      const factors = effectiveGate(partNumbers(gate, there.state.params), target.gateActivation, 4);
      for (const factor of factors) expect(factor).toBeCloseTo([0.75, -0.25][i], 7);
    }
    const back = convertGates(there.state, peft);
    expect(back.state.layout).toEqual(state.layout);
    for (const [i, value] of state.params.entries()) expect(back.state.params[i]).toBeCloseTo(value, 7);
  }
  expect(convertGates(convertGates(state, litgpt).state, peft).state.params).toEqual(state.params);
});

test("no conversion of gates touches prompts", () => {
  fc.assert(
    fc.property(
      fc.constantFrom<GateSharing>("scalar", "per-head"),
      fc.constantFrom<GateActivation>("none", "tanh"),
      fc.constantFrom(peft, litgpt, original),
      fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 4, maxLength: 4 }),
      (sharing, activation, target, gates) => {
        const state = adapter(sharing, activation, sharing === "scalar" ? gates.slice(0, 1) : gates);
        const { state: found, layers } = convertGates(state, { ...target, reduce: "mean", clamp: true });
        expect(found.params.subarray(0, 24)).toEqual(state.params.subarray(0, 24));
        expect(layerParts(found.layout).map(({ layer }) => layer)).toEqual([4]);
        // The reported error is the real one.
        const [{ gate }] = layerParts(found.layout);
        const after = effectiveGate(partNumbers(gate, found.params), target.gateActivation, 4);
        expect(layers[0]).toMatchObject({ layer: 4, after });
      },
    ),
  );
});

test("gates that differ between heads are refused for one gate a layer, layer by layer, unless reduced [F1]", () => {
  const state = adapter("per-head", "none", [1, 2, 3, 6], [0.5, 0.5, 0.5, 0.5]);
  expect(problems(state, peft)).toEqual([
    "layer 3 has gates from 1.000 to 6.000, the target holds one a layer: allow it with a reduction (mean, median, rms)",
  ]);
  const reduced = gateReductions.map((reduce) => {
    const { state: found, layers } = convertGates(state, { ...peft, reduce });
    return [found.params[24], found.params[49], layers[0].relativeError, layers[1].relativeError];
  });
  const norm = Math.sqrt(1 + 4 + 9 + 36);
  const rms = norm / 2;
  expect(reduced).toEqual([
    [3, 0.5, expect.closeTo(Math.sqrt(4 + 1 + 0 + 9) / norm, 6), 0],
    [2.5, 0.5, expect.closeTo(Math.sqrt(2.25 + 0.25 + 0.25 + 12.25) / norm, 6), 0],
    [expect.closeTo(rms, 6), 0.5, expect.closeTo(Math.hypot(rms - 1, rms - 2, rms - 3, rms - 6) / norm, 6), 0],
  ]);
});

test("the root mean square takes the sign of the mean", () => {
  const state = adapter("per-head", "none", [-3, -3, -3, 1]);
  expect(convertGates(state, { ...peft, reduce: "rms" }).state.params[24]).toBeCloseTo(-Math.sqrt(7), 6);
});

test("a gate of 1 or more has no tanh: refused, or clamped to the nearest there is [F1]", () => {
  const state = adapter("scalar", "none", [1.25], [0.5]);
  expect(problems(state, original)).toEqual([
    "layer 3 has the gate 1.25000, the target's tanh stays below 1: allow it with clamping",
  ]);
  const { layers } = convertGates(state, { ...original, clamp: true });
  expect(layers[0].relativeError).toBeCloseTo(0.2, 4);
  expect(layers[1].relativeError).toBeLessThan(1e-7);
  expect(problems(adapter("scalar", "none", [-1]), original)).toHaveLength(1);
});

test("gates of zero stay zero and have no error", () => {
  for (const target of [peft, litgpt, original]) {
    const { layers } = convertGates(adapter("per-head", "tanh", [0, 0, 0, 0]), target);
    expect(layers[0]).toMatchObject({ relativeError: 0, after: new Float32Array(4) });
  }
});
