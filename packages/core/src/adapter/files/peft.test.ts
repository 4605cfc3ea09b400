import { expect, test } from "vitest";
import { InputError } from "../../errors.ts";
import type { Tensor } from "../../formats/safetensors.ts";
import { parseModelConfig } from "../../model/hf_config.ts";
import { adapterLayout } from "../kinds/adaption_prompt.ts";
import type { AdapterShape } from "../layout.ts";
import { declaredSettings } from "../settings.ts";
import { adapterMetadata, adapterTensors, compareAdapterKeys, readAdapterTensors } from "./peft.ts";

const modelOf = (layers: number) =>
  parseModelConfig(
    {
      model_type: "llama",
      vocab_size: 64,
      hidden_size: 8,
      intermediate_size: 12,
      num_hidden_layers: layers,
      num_attention_heads: 4,
    },
    "config.json",
  );
const scalar: AdapterShape = { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" };
const squashed: AdapterShape = { ...scalar, gateActivation: "tanh" };
const perHead: AdapterShape = { ...scalar, gateSharing: "per-head", gateActivation: "tanh" };
const layout = adapterLayout(scalar, modelOf(12));
const params = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(1.7 * i + 0.3));
const tensors = adapterTensors(layout, params);

function problems(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

test("names and shapes are PEFT's, with the absolute layer [A5, L1]", () => {
  const stem = "base_model.model.model.layers";
  expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
    [`${stem}.10.self_attn.adaption_prompt`, [1, 3, 8]],
    [`${stem}.10.self_attn.adaption_gate`, [1]],
    [`${stem}.11.self_attn.adaption_prompt`, [1, 3, 8]],
    [`${stem}.11.self_attn.adaption_gate`, [1]],
  ]);
});

test.each(["f32", "bf16", "f16"] as const)("%s comes back for any order of the tensors", (dtype) => {
  for (const module of ["causal-lm", "bare"] as const) {
    const written = new Map([...adapterTensors(layout, params, dtype, module)].toReversed());
    const { params: read, report } = readAdapterTensors(written, layout, "x");
    const bound = { f32: 0, bf16: 2 ** -9, f16: 2 ** -12 }[dtype];
    for (const [i, value] of params.entries()) expect(Math.abs(read[i] - value)).toBeLessThanOrEqual(bound);
    expect(report.matched.length).toBe(4);
  }
  expect([...adapterTensors(layout, params, dtype, "bare").keys()][0]).toBe(
    "base_model.model.layers.10.self_attn.adaption_prompt",
  );
});

test("per-head gates are stored as [H] and declared in the metadata", () => {
  const wide = adapterLayout(perHead, modelOf(12));
  const values = Float32Array.from({ length: wide.length }, (_, i) => i);
  const written = adapterTensors(wide, values);
  expect(written.get("base_model.model.model.layers.11.self_attn.adaption_gate")?.shape).toEqual([4]);
  expect(readAdapterTensors(written, wide, "x").params).toEqual(values);
  const metadata = adapterMetadata(perHead);
  expect(metadata).toEqual({ format: "pt", "zerogate.gate_sharing": "per-head", "zerogate.gate_activation": "tanh" });
  expect(declaredSettings(new Map(Object.entries(metadata)), "x")).toEqual({
    gateSharing: "per-head",
    gateActivation: "tanh",
  });
});

test("an adapter that PEFT can express has PEFT's metadata and nothing else, unless more is asked for", () => {
  expect(adapterMetadata(scalar)).toEqual({ format: "pt" });
  expect(adapterMetadata(scalar, { "zerogate.step": "7" })).toEqual({
    format: "pt",
    "zerogate.step": "7",
    "zerogate.gate_sharing": "scalar",
    "zerogate.gate_activation": "none",
  });
  expect(declaredSettings(new Map([["format", "pt"]]), "x")).toEqual({ gateSharing: "scalar", gateActivation: "none" });
  expect(() => declaredSettings(new Map([["zerogate.gate_sharing", "per-layer"]]), "x")).toThrow(
    'Cannot read the adapter x: zerogate.gate_sharing is "per-layer", known are scalar and per-head',
  );
  for (const [key, value] of [
    ["zerogate.gate_sharing", "per-head"],
    ["zerogate.gate_activation", "none"],
  ] as const) {
    expect(() => declaredSettings(new Map([[key, value]]), "x")).toThrow(`${key} alone, the other one was lost`);
  }
});

test("every missing, surplus and misshaped tensor is named [D5]", () => {
  const broken = new Map<string, Tensor>(tensors);
  const stem = "base_model.model.model.layers.10.self_attn";
  broken.delete(`${stem}.adaption_gate`);
  broken.set(`${stem}.adaption_prompt`, { dtype: "F32", shape: [1, 2, 8], bytes: new Uint8Array(64) });
  broken.set("base_model.model.model.layers.11.self_attn.adaption_gate", {
    dtype: "I32",
    shape: [1],
    bytes: new Uint8Array(4),
  });
  broken.set("score.weight", { dtype: "F32", shape: [0], bytes: new Uint8Array(0) });
  expect(problems(() => readAdapterTensors(broken, layout, "x"))).toEqual([
    `${stem}.adaption_prompt is F32 [1, 2, 8], needed is F32, F16 or BF16 [1, 3, 8]`,
    "base_model.model.model.layers.11.self_attn.adaption_gate is I32 [1], needed is F32, F16 or BF16 [1]",
    `${stem}.adaption_gate is missing`,
    '"score.weight" is not part of this adapter',
  ]);
});

test("missing and surplus tensors are accepted if the caller says so, wrong shapes never", () => {
  const partial = new Map<string, Tensor>(tensors);
  const stem = "base_model.model.model.layers.10.self_attn";
  partial.delete(`${stem}.adaption_gate`);
  partial.delete(`${stem}.adaption_prompt`);
  partial.set("score.weight", { dtype: "F32", shape: [0], bytes: new Uint8Array(0) });
  const { params: read, report } = readAdapterTensors(partial, layout, "x", { strict: false });
  expect(report).toMatchObject({
    missing: [`${stem}.adaption_prompt`, `${stem}.adaption_gate`],
    unexpected: ["score.weight"],
    misShaped: [],
  });
  expect(read.subarray(25)).toEqual(params.subarray(25));
  expect(read.subarray(0, 25).every((value) => value === 0)).toBe(true);
  partial.set(`${stem}.adaption_gate`, { dtype: "F32", shape: [2], bytes: new Uint8Array(8) });
  expect(problems(() => readAdapterTensors(partial, layout, "x", { strict: false }))).toEqual([
    `${stem}.adaption_gate is F32 [2], needed is F32, F16 or BF16 [1]`,
  ]);
});

test("an adapter of a base with fewer layers is refused with the reason; PEFT would load half of it", () => {
  const larger = adapterLayout(scalar, modelOf(13));
  expect(problems(() => readAdapterTensors(tensors, larger, "x"))[0]).toBe(
    "its highest prompt is in layer 11, which is the last of a base with 12 layers; this base has 13: use the base that the adapter was trained on",
  );
  expect(compareAdapterKeys(tensors, larger).missing.length).toBe(2);
});

test("names of two base classes in one file are not mixed", () => {
  const mixed = new Map(
    [...tensors].map(([name, tensor], i) => [
      i === 0 ? name.replace("model.model.model", "model.model") : name,
      tensor,
    ]),
  );
  expect(problems(() => readAdapterTensors(mixed, layout, "x")).length).toBe(2);
});

test("numbers that are not finite are neither stored nor read, strict or not [D5]", () => {
  const bad = params.slice();
  bad[3] = Number.NaN;
  bad[24] = Number.POSITIVE_INFINITY;
  const stem = "base_model.model.model.layers.10.self_attn";
  expect(problems(() => adapterTensors(layout, bad))).toEqual([
    `1 numbers of ${stem}.adaption_prompt are not finite in f32, needed are finite ones`,
    `1 numbers of ${stem}.adaption_gate are not finite in f32, needed are finite ones`,
  ]);
  const file = new Map(tensors);
  file.set(`${stem}.adaption_gate`, { dtype: "BF16", shape: [1], bytes: Uint8Array.of(0x80, 0x7f) });
  for (const strict of [true, false]) {
    expect(problems(() => readAdapterTensors(file, layout, "x", { strict }))).toEqual([
      `${stem}.adaption_gate holds 1 numbers that are not finite`,
    ]);
  }
});

test("a number beyond f16 is refused, not stored as infinity", () => {
  const large = params.slice();
  large[0] = 1e5;
  expect(() => adapterTensors(layout, large, "f16")).toThrow(InputError);
  expect(adapterTensors(layout, large, "bf16").size).toBe(4);
});

test("a shared tanh gate has a shape that PEFT refuses, because PEFT would leave the tanh out", () => {
  const tanhLayout = adapterLayout(squashed, modelOf(12));
  const stored = adapterTensors(tanhLayout, params);
  const gates = [...stored].filter(([name]) => name.endsWith("adaption_gate"));
  expect(gates.map(([, { shape }]) => shape)).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(readAdapterTensors(stored, tanhLayout, "file").params).toEqual(params);
});
