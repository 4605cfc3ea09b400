import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../../test/shared.ts";
import { InputError } from "../../errors.ts";
import { memorySource } from "../../formats/byte_source.ts";
import { parseSafetensors, type Tensor } from "../../formats/safetensors.ts";
import { openTorchFile, readTorchTensors, serializeTorchFile, tensorsOf } from "../../formats/torch_file.ts";
import { adapterLayout, adapterLayoutOn, layerParts } from "../kinds/adaption_prompt.ts";
import type { AdapterState } from "../kinds/kind.ts";
import type { GateActivation } from "../parts/gate.ts";
import { convertGates } from "./convert_gates.ts";
import {
  foreignDialects,
  foreignTensors,
  isAdapterTensor,
  type ReadDialectOptions,
  readForeignAdapter,
} from "./dialects.ts";

const llama = { modelType: "llama", outputBias: false } as const;

function adapter(K: number, L: number, layers: number, gateActivation: GateActivation): AdapterState {
  const shape = { promptLength: K, adaptedLayers: L, gateSharing: "per-head", gateActivation } as const;
  const layout = adapterLayout(shape, { ...llama, layers, hiddenSize: 6, heads: 3 });
  return { layout, params: Float32Array.from({ length: layout.length }, (_, i) => Math.cos(1.3 * i + 0.2)) };
}

function problems(tensors: ReadonlyMap<string, Tensor>, options?: ReadDialectOptions): readonly string[] {
  try {
    readForeignAdapter(tensors, "x.pth", options);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

const zeros = (...shape: number[]): Tensor => {
  return { dtype: "F32", shape, bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)) };
};

test.each([
  ["adapter_query.weight", true],
  ["layers.3.attention.gate", true],
  ["transformer.h.3.attn.adapter_wte.weight", true],
  ["transformer.h.3.attn.gating_factor", true],
  ["layers.3.attention.wq.weight", false],
  ["transformer.h.3.attn.attn.weight", false],
  ["tok_embeddings.weight", false],
])("of a training checkpoint %s belongs to the adapter: %s", (name, isPart) => {
  expect(isAdapterTensor(name)).toBe(isPart);
});

test("any per-head adapter comes back from every dialect as it was [F1]", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat({ max: 3 }),
      fc.constantFrom(...foreignDialects),
      (K, L, below, dialect) => {
        const gateActivation = dialect === "original" ? "tanh" : "none";
        const state = adapter(K, L, L + below, gateActivation);
        expect(readForeignAdapter(foreignTensors(state, dialect), "x").state).toEqual(state);
      },
    ),
  );
});

test("names and shapes are those of the other programs", () => {
  const shapes = (dialect: (typeof foreignDialects)[number]) =>
    [...foreignTensors(adapter(2, 1, 3, "none"), dialect)].map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
  expect(shapes("original")).toEqual([
    "adapter_query.weight [2, 6]",
    "layers.0.attention.gate [1, 3, 1, 1]",
    "layers.1.attention.gate [1, 3, 1, 1]",
    "layers.2.attention.gate [1, 3, 1, 1]",
  ]);
  expect(shapes("litgpt")).toEqual([
    "transformer.h.2.attn.adapter_wte.weight [2, 6]",
    "transformer.h.2.attn.gating_factor [1, 1, 3, 1]",
  ]);
  expect(shapes("lit-llama")[1]).toBe("transformer.h.2.attn.gating_factor [1, 3, 1, 1]");
});

test("LLaMA-7B in the original's layout has the 1,229,824 numbers of its released file", () => {
  const shape = { promptLength: 10, adaptedLayers: 30, gateSharing: "per-head", gateActivation: "tanh" } as const;
  const layout = adapterLayout(shape, { ...llama, layers: 32, hiddenSize: 4096, heads: 32 });
  const params = new Float32Array(layout.length).fill(0.5);
  const tensors = foreignTensors({ layout, params }, "original");
  expect(tensors.size).toBe(33);
  expect([...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length / 4, 0)).toBe(1_229_824);
  expect(readForeignAdapter(tensors, "x").state.layout).toEqual(layout);
});

describe("how many prompts a layer of an original file has", () => {
  const tensors = foreignTensors(adapter(4, 3, 8, "tanh"), "original");
  const shut = new Map([...tensors].map(([name, t]) => [name, name.endsWith("gate") ? zeros(1, 3, 1, 1) : t]));

  test("is recognised by the gates that are open", () => {
    const { state, notes } = readForeignAdapter(tensors, "x");
    expect(state.layout.shape).toMatchObject({ promptLength: 4, adaptedLayers: 3 });
    expect(notes).toEqual(["3 layers of 4 prompts, from 12 rows and the gates that are open"]);
  });

  test("is 10 if none is open, as the original's inference takes it, or what the caller says", () => {
    expect(problems(shut)).toEqual([
      "adapter_query.weight has 12 rows and no gate is open, which does not fit 10 prompts a layer: say how many there are (adapter length)",
    ]);
    expect(readForeignAdapter(shut, "x", { promptLength: 2 }).state.layout.shape.adaptedLayers).toBe(6);
    expect(
      readForeignAdapter(new Map([...shut, ["adapter_query.weight", zeros(20, 6)]]), "x").state.layout.shape,
    ).toMatchObject({ promptLength: 10, adaptedLayers: 2 });
  });

  test("may not leave out a layer whose gate is open, nor need more layers than there are", () => {
    for (const promptLength of [6, 12, 5, 1]) expect(problems(tensors, { promptLength })).toHaveLength(1);
    expect(readForeignAdapter(tensors, "x", { promptLength: 3 }).state.layout.shape.adaptedLayers).toBe(4);
  });
});

test("older gates: one number a layer in original files, [1, H, 1, 1] or one number in Lightning's [L8]", () => {
  const query: [string, Tensor] = ["adapter_query.weight", zeros(4, 6)];
  const one = (name: string, ...shape: number[]): [string, Tensor] => {
    return [name, { dtype: "F32", shape, bytes: new Uint8Array(Float32Array.of(0.5).buffer) }];
  };
  const first = new Map([query, one("layers.0.attention.gate", 1), one("layers.1.attention.gate", 1)]);
  expect(readForeignAdapter(first, "x").state.layout.shape).toMatchObject({
    gateSharing: "scalar",
    gateActivation: "tanh",
    promptLength: 2,
  });
  for (const shape of [[], [1], [1, 1, 1, 1]]) {
    const stem = "transformer.h.4.attn";
    const lit = new Map([[`${stem}.adapter_wte.weight`, zeros(2, 6)], one(`${stem}.gating_factor`, ...shape)]);
    const { table } = readForeignAdapter(lit, "x").state.layout;
    expect(table.map(({ name, offset }) => [name, offset])).toEqual([
      ["layers.4.prompt", 0],
      ["layers.4.gate", 12],
    ]);
  }
});

describe("what is refused", () => {
  const original = foreignTensors(adapter(2, 2, 4, "tanh"), "original");
  const lit = foreignTensors(adapter(2, 2, 4, "none"), "litgpt");
  const stem = "transformer.h.3.attn";
  const nan: Tensor = { ...zeros(1, 3, 1, 1), bytes: new Uint8Array(Float32Array.of(0, Number.NaN, 1).buffer) };
  const cases: Record<string, [Map<string, Tensor>, string]> = {
    "no adapter at all": [new Map([["tok_embeddings.weight", zeros(2, 2)]]), "it has neither adapter_query.weight"],
    "LLaMA-Adapter V2, multimodal, of wrong shapes": [
      new Map([...original, ["visual_query.weight", zeros(1)], ["llama.layers.0.attention.gate", zeros(1)]]),
      "visual_query.weight is [1], needed is a matrix",
    ],
    "biases of V2": [new Map([...original, ["layers.3.attention.wq.bias", zeros(6)]]), "it trains more than prompts"],
    "litgpt's adapter_v2": [new Map([...lit, [`${stem}.adapter_scale`, zeros(6)]]), "it trains more than prompts"],
    "no gates": [new Map([["adapter_query.weight", zeros(2, 6)]]), "it has no layers.….attention.gate"],
    "a prompt of another rank": [new Map([...original, ["adapter_query.weight", zeros(2, 2, 6)]]), "is [2, 2, 6]"],
    "prompts of no rows": [new Map([...original, ["adapter_query.weight", zeros(0, 6)]]), "is [0, 6], needed is F32"],
    "a matrix as gate": [new Map([...original, ["layers.3.attention.gate", zeros(3, 3)]]), "is [3, 3], needed is F32"],
    "gates of two numbers of heads": [
      new Map([...original, ["layers.3.attention.gate", zeros(1, 2, 1, 1)]]),
      "its layers have 3 and 2 gates",
    ],
    "a gate that is not finite": [
      new Map([...original, ["layers.3.attention.gate", nan]]),
      "layers.3.attention.gate holds 1 numbers that are not finite",
    ],
    integers: [new Map([...original, ["adapter_query.weight", { ...zeros(4, 6), dtype: "I32" }]]), "is I32, needed"],
    "a gate missing": [new Map([...lit].filter(([name]) => name !== `${stem}.gating_factor`)), "is missing, needed is"],
    "a gate without prompt": [
      new Map([...lit, ["transformer.h.0.attn.gating_factor", zeros(1)]]),
      "transformer.h.0.attn.gating_factor has no prompt",
    ],
    "a layer missing in between": [
      new Map([
        ...lit,
        ["transformer.h.0.attn.adapter_wte.weight", zeros(2, 6)],
        ["transformer.h.0.attn.gating_factor", zeros(1, 1, 3, 1)],
      ]),
      "layer 1 is missing between the adapted layers",
    ],
    "prompts of two sizes": [
      new Map([...lit, [`${stem}.adapter_wte.weight`, zeros(3, 6)]]),
      `${stem}.adapter_wte.weight is [3, 6], the first one [2, 6]`,
    ],
  };
  test.each(Object.entries(cases))("%s", (_, [tensors, message]) => {
    expect(problems(tensors).join("\n")).toContain(message);
  });

  test("writing numbers that the dtype cannot hold, and gates that are not per head", () => {
    const state = adapter(2, 2, 4, "none");
    state.params[0] = 1e5;
    expect(() => foreignTensors(state, "litgpt", "f16")).toThrow(InputError);
    const scalar = adapterLayoutOn({ ...state.layout.shape, gateSharing: "scalar" }, state.layout.base);
    expect(() => foreignTensors({ layout: scalar, params: new Float32Array(scalar.length) }, "litgpt")).toThrow(
      RangeError,
    );
  });
});

const golden = absent("golden/orig_llama_mha");
describe.skipIf(golden !== "")(`files of real torch${golden}`, () => {
  const bytes = (name: string) => new Uint8Array(readFileSync(sharedPath(`golden/orig_llama_mha/${name}`)));
  async function torchTensors(name: string): Promise<Map<string, Tensor>> {
    const file = await openTorchFile(memorySource(bytes(name), name));
    const model = file.root instanceof Map ? file.root.get("model") : undefined;
    return readTorchTensors(file, tensorsOf(model ?? file.root));
  }

  test("the original's .pth is read bit for bit and written with the same tensors [F1]", async () => {
    const tensors = await torchTensors("adapter_orig.pth");
    const { tensors: expected } = parseSafetensors(bytes("adapter_orig.safetensors"), "x");
    expect(tensors).toEqual(new Map([...expected].map(([name, t]) => [name, { ...t, bytes: t.bytes.slice() }])));
    const { state } = readForeignAdapter(tensors, "x");
    const { shape, base } = state.layout;
    expect({ ...shape, ...base }).toMatchObject({
      promptLength: 5,
      adaptedLayers: 2,
      heads: 4,
      gateActivation: "tanh",
    });
    expect(foreignTensors(state, "original")).toEqual(tensors);
  });

  test("the original, read as raw, is litgpt's file; litgpt's becomes the original's [F1]", async () => {
    const [original, lit] = [await torchTensors("adapter_orig.pth"), await torchTensors("lit_model.pth.adapter")];
    const { state: raw } = readForeignAdapter(original, "x", { originalGate: "none" });
    expect(foreignTensors(raw, "litgpt")).toEqual(lit);
    expect(foreignTensors(readForeignAdapter(lit, "x").state, "original")).toEqual(original);
    // Under tanh the effective gates are what a raw reader must get.
    const { state: squashed } = readForeignAdapter(original, "x");
    const { state } = convertGates(squashed, { gateSharing: "per-head", gateActivation: "none" });
    const [{ gate }] = layerParts(state.layout);
    expect(state.params[gate.offset]).toBe(Math.fround(Math.tanh(squashed.params[gate.offset])));
  });

  test("a file of ours has the entries that torch's has", async () => {
    const ours = serializeTorchFile(await torchTensors("lit_model.pth.adapter"), "model");
    const file = await openTorchFile(memorySource(ours, "x"));
    expect([...file.entries.keys()]).toEqual([
      "data.pkl",
      "byteorder",
      "data/0",
      "data/1",
      "data/2",
      "data/3",
      "version",
    ]);
  });
});

test("numbers that a file's dtype cannot hold are refused by name, in every form", () => {
  for (const dialect of ["original", "litgpt"] as const) {
    const state = adapter(2, 1, 3, dialect === "original" ? "tanh" : "none");
    const [{ gate }] = layerParts(state.layout);
    state.params[gate.offset] = 7e4;
    expect(() => foreignTensors(state, dialect, "f16"), dialect).toThrow(
      "are not finite in f16, needed are finite ones",
    );
    expect(() => foreignTensors(state, dialect, "bf16"), dialect).not.toThrow();
  }
});
