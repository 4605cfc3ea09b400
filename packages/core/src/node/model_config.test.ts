import { cpSync, existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { InputError } from "../errors.ts";
import { narrow } from "../formats/dtype.ts";
import { serializeSafetensors, type Tensor, type TensorDType } from "../formats/safetensors.ts";
import { createModel } from "../model/decoder.ts";
import { weightSources } from "../model/hf_names.ts";
import { oneSequence, tokenLogits } from "../model/logits.ts";
import { weightOf } from "../model/weights.ts";
import { type ReadModelOptions, readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

let scratch: string;
let count = 0;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-config-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const llama = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 5,
  num_hidden_layers: 2,
  num_attention_heads: 2,
};
const gpt2 = { model_type: "gpt2", vocab_size: 11, n_embd: 8, n_layer: 2, n_head: 2, n_positions: 16 };

async function folderOf(json: object | string, tensors: ReadonlyMap<string, Tensor> = new Map()): Promise<string> {
  const folder = join(scratch, String(count++));
  await mkdir(folder);
  await writeFile(join(folder, "config.json"), typeof json === "string" ? json : JSON.stringify(json));
  if (tensors.size > 0) await writeFile(join(folder, "model.safetensors"), serializeSafetensors(tensors));
  return folder;
}

function tensor(shape: readonly number[], seed: number, dtype: TensorDType = "F32"): Tensor {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + 1.3 * i));
  if (dtype === "F64") return { dtype, shape, bytes: new Uint8Array(Float64Array.from(values).buffer) };
  const rounded = new Float32Array(values.length);
  for (const [i, value] of values.entries()) rounded[i] = Math.round(value * 64) / 64; // exact in bf16 too
  return { dtype, shape, bytes: dtype === "BF16" ? narrow(rounded, "bf16") : new Uint8Array(rounded.buffer) };
}

/** Every tensor that this config needs. */
async function tensorsOf(json: object, dtype: TensorDType = "F32"): Promise<Map<string, Tensor>> {
  const parts = weightSources(await readModelConfig(await folderOf(json))).flatMap((source) => source.parts);
  return new Map(parts.map(({ hfName, shape }, p) => [hfName, tensor(shape, p, dtype)]));
}

async function read(folder: string, options: ReadModelOptions = {}) {
  const warnings: string[] = [];
  const config = await readModelConfig(folder, { ...options, onWarning: (warning) => warnings.push(warning) });
  return { config, warnings };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof InputError ? error.message : `not refused: ${String(error)}`;
}

describe("a tied head", () => {
  const tied = { ...llama, tie_word_embeddings: true };
  const shape = [11, 8];

  test.each([
    ["its bytes", true, tensor(shape, 0)],
    ["the same numbers in another dtype", true, tensor(shape, 0, "BF16")],
    ["other numbers", false, tensor(shape, 1)],
    ["another number at the end", false, changed(tensor(shape, 0))],
  ])("that the file holds with %s is the embedding: %s [T-A1]", async (_, isTied, head) => {
    const tensors = (await tensorsOf(tied))
      .set("model.embed_tokens.weight", tensor(shape, 0))
      .set("lm_head.weight", head);
    const { config, warnings } = await read(await folderOf(tied, tensors));
    expect(config.tiedEmbeddings).toBe(isTied);
    expect(warnings.map((warning) => warning.split(", ")[0])).toEqual(
      isTied ? [] : ["lm_head.weight is not the embedding"],
    );
  });

  test("of another shape or kind is refused by name, not ignored [T-A1]", async () => {
    for (const head of [tensor([12, 8], 0), { ...tensor([11, 8], 0), dtype: "I32" } as Tensor]) {
      const folder = await folderOf(tied, (await tensorsOf(tied)).set("lm_head.weight", head));
      const { config } = await read(folder);
      expect(await refusal(loadWeights(folder, config, { weightDtypes: ["f32"] }))).toContain("lm_head.weight in");
    }
  });

  test("stored alone is the embedding on every engine's plan, copied and mapped [T-A1]", async () => {
    const tensors = await tensorsOf(tied);
    const embedding = tensors.get("model.embed_tokens.weight") as Tensor;
    tensors.delete("model.embed_tokens.weight");
    const folder = await folderOf(tied, tensors.set("lm_head.weight", embedding));
    const { config, warnings } = await read(folder);
    expect([config.tiedEmbeddings, warnings]).toEqual([true, []]);
    for (const options of [{ mapFiles: true }, { storage: "int8" }] as const) {
      const image = await loadWeights(folder, config, { weightDtypes: ["f32", "i8"], ...options });
      expect(weightOf(image, "embed")?.bytes).toEqual(embedding.bytes);
    }
  });
});

function changed({ bytes, ...rest }: Tensor): Tensor {
  const copy = bytes.slice();
  copy[copy.length - 2] ^= 0x80; // of the last number's exponent
  return { ...rest, bytes: copy };
}

describe("tensors that nothing reads", () => {
  test("are named once a kind, with their number, and refused if that is asked for [T-A3]", async () => {
    const tensors = await tensorsOf(llama);
    for (const i of [0, 1]) tensors.set(`model.layers.${i}.self_attn.q_proj.bias`, tensor([8], i));
    tensors.set("model.layers.1.self_attn.q_norm.weight", tensor([4], 0));
    tensors.set("model.layers.2.input_layernorm.weight", tensor([8], 0));
    tensors.set("model.layers.2.mlp.up_proj.weight", tensor([5, 8], 0));
    tensors.set("v_head.summary.weight", tensor([1, 8], 0));
    const folder = await folderOf(llama, tensors);
    const { warnings } = await read(folder);
    expect(warnings).toEqual([
      "6 of 27 tensors are not part of this llama model and have no influence on what it computes (--strict-tensors refuses them): " +
        "model.layers.*.self_attn.q_proj.bias (2), model.layers.*.self_attn.q_norm.weight, layer 2 (config.json has 2 layers) (2), v_head.summary.weight",
    ]);
    const message = await refusal(read(folder, { strictTensors: true }));
    expect(message).toContain("q_norm");
    expect(message).toContain("leave out strictTensors");
  });

  test("are silent if they hold nothing trained, and only there [T-A3]", async () => {
    const rotary = (await tensorsOf(llama)).set("model.layers.0.self_attn.rotary_emb.inv_freq", tensor([2], 0));
    expect((await read(await folderOf(llama, rotary), { strictTensors: true })).warnings).toEqual([]);
    const masks = (await tensorsOf(gpt2))
      .set("transformer.h.0.attn.bias", tensor([1, 1, 16, 16], 0))
      .set("h.1.attn.masked_bias", tensor([], 0));
    expect((await read(await folderOf(gpt2, masks), { strictTensors: true })).warnings).toEqual([]);
    const bias = (await tensorsOf(gpt2)).set("transformer.h.0.attn.bias", tensor([24], 0));
    expect((await read(await folderOf(gpt2, bias))).warnings).toEqual([
      expect.stringContaining("transformer.h.*.attn.bias"),
    ]);
  });

  test("of an adapter that was not merged refuse with what to do [T-A3]", async () => {
    const tensors = await tensorsOf(llama);
    const q = "model.layers.0.self_attn.q_proj";
    tensors.set(`${q}.base_layer.weight`, tensors.get(`${q}.weight`) as Tensor).delete(`${q}.weight`);
    const folder = await folderOf(llama, tensors);
    const { config } = await read(folder);
    expect(await refusal(loadWeights(folder, config, { weightDtypes: ["f32"] }))).toContain("merge it first");
  });
});

describe("what other programs leave in a folder", () => {
  test.each([["module."], ["_orig_mod."], ["module._orig_mod."], ["base_model.model."]])(
    "names behind %s are read without it, with a note [T-C6]",
    async (prefix) => {
      const tensors = await tensorsOf(llama);
      const wrapped = new Map([...tensors].map(([name, value]) => [`${prefix}${name}`, value]));
      const plain = await folderOf(llama, tensors);
      const folder = await folderOf(llama, wrapped);
      const { config, warnings } = await read(folder);
      expect(warnings).toEqual([
        `21 tensors of ${folder} have names that begin with ${prefix}: they are read without it`,
      ]);
      const images = await Promise.all([plain, folder].map((f) => loadWeights(f, config, { weightDtypes: ["f32"] })));
      expect(new Uint8Array(images[1].bytes)).toEqual(new Uint8Array(images[0].bytes));
    },
  );

  test("two tensors that would share a name keep theirs: the model's own is used, the other named [T-C6]", async () => {
    const tensors = await tensorsOf(llama);
    const folder = await folderOf(llama, tensors.set("module.lm_head.weight", tensor([11, 8], 99)));
    const { config, warnings } = await read(folder);
    expect(warnings).toEqual([expect.stringContaining(": module.lm_head.weight")]);
    const image = await loadWeights(folder, config, { weightDtypes: ["f32"] });
    expect(weightOf(image, "head")?.bytes).toEqual(tensors.get("lm_head.weight")?.bytes);
  });

  test("F64 weights are rounded to F32 with a warning, in every kind of place [T-C6]", async () => {
    for (const json of [llama, gpt2, { ...llama, model_type: "gemma", head_dim: 4, num_key_value_heads: 2 }]) {
      const wide = await tensorsOf(json, "F64");
      const narrowed = new Map(
        [...wide].map(([name, { shape, bytes }]): [string, Tensor] => [
          name,
          {
            dtype: "F32",
            shape,
            bytes: new Uint8Array(Float32Array.from(new Float64Array(bytes.slice().buffer)).buffer),
          },
        ]),
      );
      const [folder, plain] = [await folderOf(json, wide), await folderOf(json, narrowed)];
      const { config, warnings } = await read(folder);
      expect(warnings).toEqual([`${wide.size} tensors of ${folder} are F64: they are used as F32`]);
      for (const storage of ["as-is", "int8"] as const) {
        const options = { weightDtypes: ["f32", "i8"], storage, mapFiles: true } as const;
        const images = await Promise.all([plain, folder].map((f) => loadWeights(f, config, options)));
        expect(new Uint8Array(images[1].bytes)).toEqual(new Uint8Array(images[0].bytes));
      }
    }
  });

  test("Python's NaN is no obstacle in a field without meaning, and refused by name in one that is used [T-C5]", async () => {
    const text = (fields: string) => `${JSON.stringify(llama).slice(0, -1)}, ${fields}}`;
    const harmless = await folderOf(
      text('"initializer_range": NaN, "attention_dropout": Infinity, "unheard_of": -Infinity'),
    );
    expect((await read(harmless)).warnings).toEqual([expect.stringContaining("unheard_of")]);
    for (const field of [
      "rms_norm_eps",
      "rope_theta",
      "max_position_embeddings",
      "eos_token_id",
      "is_causal",
      "head_dim",
    ]) {
      expect(await refusal(read(await folderOf(text(`"${field}": NaN`))))).toContain(`${field} is NaN`);
    }
    const nested = await folderOf(text('"rope_scaling": {"type": "linear", "factor": Infinity}'));
    expect(await refusal(read(nested))).toContain("rope_scaling.factor is Infinity, needed is a number above 0");
  });
});

describe.skipIf(absent("cases") !== "")(`field cases${absent("cases")}`, () => {
  /** The case's folder; tokens and weights of the packaged base are left out there. */
  const inputOf = async (name: string) => {
    const folder = join(scratch, String(count++));
    cpSync(sharedPath(`cases/${name}/input`), folder, { recursive: true });
    expect(existsSync(join(folder, "model.safetensors"))).toBe(true);
    return folder;
  };

  test("a trained head beside tie_word_embeddings gives transformers' logits [T-A1, T-case09]", async () => {
    const folder = await inputOf("09-tied-in-config-other-head-in-file");
    const { config, warnings } = await read(folder);
    const engine = createReferenceEngine();
    const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes });
    const logits = await tokenLogits(createModel(engine, config, image), undefined, oneSequence([1, 5, 9]));
    const last = logits.subarray(2 * config.vocabSize, 2 * config.vocabSize + 3);
    expect([...last].map((value) => value.toFixed(3))).toEqual(["-4.631", "-1.465", "6.193"]);
    expect(warnings).toEqual([expect.stringMatching(/^lm_head\.weight is not the embedding/)]);
  });

  test("biases that the config does not ask for are named [T-A3, T-case21]", async () => {
    const folder = await inputOf("21-tensors-that-matter-unused");
    const { warnings } = await read(folder);
    expect(warnings).toEqual([expect.stringContaining("model.layers.*.self_attn.q_proj.bias (6)")]);
    expect(await refusal(read(folder, { strictTensors: true }))).toContain("24 of");
  });
});
