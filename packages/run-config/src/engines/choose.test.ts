import { type ModelConfig, parseModelConfig } from "@zerogate/core";
import { type Compute, linearMapCount } from "@zerogate/core/engine";
import { expect, test } from "vitest";
import type { TrainConfig } from "../config/train_config.ts";
import { chooseEngine, isIsolated, loadOptions } from "./choose.ts";

const sizes = { model_type: "llama", vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 };
const model: ModelConfig = parseModelConfig({ ...sizes, num_attention_heads: 4 }, "config.json");
type Changes = Partial<Omit<TrainConfig, "compute">> & { readonly compute?: Compute };
const config = (changes: Changes) =>
  ({
    engine: "reference",
    compute: "f32",
    storage: "as-is",
    packing: "auto",
    isolate: false,
    ...changes,
  }) as TrainConfig & { readonly compute: Compute };
const choose = (changes: Changes, of = model) => chooseEngine(config(changes), of, 1);

test("the reference engine uses f32 weights where they lie, and widens quantised ones in every worker", async () => {
  const chosen = await choose({});
  expect(chosen).toMatchObject({ name: "reference", weightCopies: 0, packedBytes: 0 });
  expect(loadOptions(chosen)).toEqual({
    weightDtypes: ["f32", "i8", "f8", "nf4", "i4"],
    mapFiles: false,
    storage: "as-is",
  });
  for (const storage of ["int8", "fp8", "nf4", "int4"] as const) {
    expect(await choose({ storage })).toMatchObject({ storage, weightCopies: 4, options: { storage } });
  }
});

test.each<[changes: Changes, says: string]>([
  [{ devices: [0] }, "the engine is reference, devices are those of cuda: use --engine cuda"],
  [{ compute: "bf16" }, "the engine reference has f32 only: use --compute f32"],
  [{ engine: "wasm", compute: "bf16" }, "the engine wasm has f32 only: use --compute f32"],
  [
    { engine: "wasm", storage: "fp8" },
    "the engine wasm does not compute with it: use --storage as-is or int8 or nf4 or int4, or the engine cuda or reference",
  ],
  [{ engine: "cpu", storage: "fp8" }, "the engine cpu does not compute with it"],
  [
    { engine: "tfjs:cpu", storage: "int8" },
    "the engine tfjs:cpu does not compute with it: use --storage as-is, or the engine cpu or wasm or cuda or reference",
  ],
  [{ packing: "always" }, "the engine reference makes none: use --packing auto, or the engine cpu"],
  [{ engine: "wasm", packing: "always" }, "the engine wasm makes none"],
])("%j is refused, with what would work", async (changes, says) => {
  await expect(choose(changes)).rejects.toThrow(says);
});

test("a base that is larger than the memory of its engine is refused, one that fits is not", async () => {
  const wide = { ...sizes, vocab_size: 2 ** 21, hidden_size: 1024, num_attention_heads: 4 };
  const large = parseModelConfig(wide, "config.json"); // its embedding and head alone are 16 GiB
  await expect(choose({ engine: "tfjs:wasm" }, large)).rejects.toThrow(
    /in f32, the engine's memory ends at \d+: take another engine/,
  );
  const fitting = await choose({ engine: "tfjs:wasm" });
  expect(fitting.traits.isComposed).toBe(true);
  expect(loadOptions(fitting)).toEqual({ weightDtypes: ["f32"], mapFiles: false, storage: "as-is" });
});

test("workers are processes if the config says so, or the engine needs it", async () => {
  const engine = await choose({});
  expect(isIsolated({ isolate: false }, engine)).toBe(false);
  expect(isIsolated({ isolate: true }, engine)).toBe(true);
  expect(isIsolated({ isolate: false }, { ...engine, processEnv: {} } as never)).toBe(true);
});

test("packed copies are made if they are small, in what is computed with, and never for quantised weights", async () => {
  const bytes = async (changes: Changes, of = model) => (await choose({ engine: "cpu", ...changes }, of)).packedBytes;
  expect(await choose({ engine: "cpu" })).toMatchObject({ weightCopies: 0 }); // weights are used where they lie
  expect(await bytes({})).toBe(4 * linearMapCount(model));
  expect(await bytes({ packing: "never" })).toBe(0);
  expect(await bytes({ storage: "int8" })).toBe(0);
  expect(await bytes({ storage: "int8", packing: "always" })).toBe(4 * linearMapCount(model));
  const large = parseModelConfig(
    { ...sizes, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32, num_attention_heads: 32 },
    "config.json",
  );
  expect(await bytes({}, large)).toBe(0);
  expect(await bytes({ packing: "always" }, large)).toBe(4 * linearMapCount(large));
});
