/** GGUF files as bases: a file that the Python package gguf wrote, its parts, and files that a model cannot be made of. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, expect, test } from "vitest";
import { problemsOf } from "../../test/folder_tensors.ts";
import { type WrittenTensor, type WrittenValue, writeGguf } from "../../test/gguf_writer.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { parseGgufHeader } from "../formats/gguf.ts";
import { ggmlTypes } from "../formats/gguf_types.ts";
import type { GgufValue } from "../formats/gguf_values.ts";
import { dequantize } from "../formats/scaled.ts";
import { createModel } from "../model/decoder.ts";
import { oneSequence, tokenLogits } from "../model/logits.ts";
import { weightOf } from "../model/weights.ts";
import { isBaseAt } from "./base_forms.ts";
import { baseHash, baseStamp } from "./base_identity.ts";
import { readGenerationConfig } from "./generation_config.ts";
import { readModelConfig } from "./model_config.ts";
import { linearMapDtypes, loadWeights, weightBytes } from "./model_files.ts";

const values = (name: string) => fileURLToPath(new URL(`../../test/gguf_values/${name}`, import.meta.url));
const LLAMA = values("llama.gguf");
const weightDtypes = ["f32"] as const;

const scratch = mkdtempSync(join(tmpdir(), "zerogate-gguf-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(scratch, `${count++}-`));
});

/** What the committed file holds, to be written anew with changes. */
function contents(): { metadata: Record<string, WrittenValue>; tensors: Record<string, WrittenTensor> } {
  const file = readFileSync(LLAMA);
  const header = parseGgufHeader(file, file.length, LLAMA);
  const numberOf = (name: string) => [...ggmlTypes].find(([, type]) => type.name === name)?.[0] ?? -1;
  const typed = (value: GgufValue): WrittenValue => {
    if (typeof value === "number") return [Number.isInteger(value) && value < 2 ** 31 ? "u32" : "f32", value];
    if (typeof value === "object") throw new Error("no arrays are expected");
    return typeof value === "string" ? ["string", value] : ["bool", value];
  };
  return {
    metadata: Object.fromEntries([...(header?.metadata ?? [])].map(([key, value]) => [key, typed(value)])),
    tensors: Object.fromEntries(
      [...(header?.tensors ?? [])].map(([name, { type, shape, begin, end }]) => [
        name,
        { type: numberOf(type.name), shape, bytes: file.subarray(begin, end) },
      ]),
    ),
  };
}

function written(name: string, file: Parameters<typeof writeGguf>[0]): string {
  const path = join(folder, name);
  writeFileSync(path, writeGguf(file));
  return path;
}

test("a file of the gguf package computes the logits of transformers over its numbers [M-gguf-q8_0]", async () => {
  const { ids, logits } = JSON.parse(readFileSync(values("llama.json"), "utf8")) as {
    ids: number[];
    logits: number[][];
  };
  const warnings: string[] = [];
  const config = await readModelConfig(LLAMA, { onWarning: (warning) => warnings.push(warning), strictTensors: true });
  expect(warnings).toEqual([]);
  expect(config).toMatchObject({ modelType: "llama", vocabSize: 40, kvHeads: 1, normEps: 1e-5, tiedEmbeddings: true });
  expect([config.bosTokenId, config.eosTokenIds]).toEqual([1, [2]]);
  expect((await readGenerationConfig(LLAMA)).eosTokenIds).toBeUndefined();
  const engine = createReferenceEngine();
  const image = await loadWeights(LLAMA, config, { weightDtypes });
  const own = await tokenLogits(createModel(engine, config, image), undefined, oneSequence(ids));
  const last = own.subarray(own.length - logits.flat().length);
  for (const [i, value] of logits.flat().entries()) expect(Math.abs(last[i] - value), `logit ${i}`).toBeLessThan(2e-6);
  expect(await weightBytes(LLAMA, config, { weightDtypes })).toBe(4 * (40 * 32 + 3072 + 3072 + 3 * 32));
  expect([...(await linearMapDtypes(LLAMA, config))]).toEqual(["f32"]);
});

test("a folder that holds GGUF files alone is refused with their names, of parts the first", async () => {
  for (const name of ["b.gguf", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]) written(name, contents());
  const found = readModelConfig(folder);
  await expect(found).rejects.toThrow(`it holds GGUF files ("a-00001-of-00002.gguf", "b.gguf"): name one of them`);
  expect(await Promise.all([LLAMA, join(folder, "no.gguf"), folder, join(folder, "..")].map(isBaseAt))).toEqual([
    true,
    false,
    false,
    false,
  ]);
  writeFileSync(join(folder, "config.json"), "{}");
  expect(await isBaseAt(folder)).toBe(true);
});

test("int8 quantises what the blocks stand for", async () => {
  const config = await readModelConfig(LLAMA);
  const plain = await loadWeights(LLAMA, config, { weightDtypes });
  const image = await loadWeights(LLAMA, config, { weightDtypes: ["f32", "i8"], storage: "int8" });
  const { bytes = new Uint8Array(), shape = [] } = weightOf(image, "layers.0.down") ?? {};
  const numbers = new Float32Array((weightOf(plain, "layers.0.down")?.bytes.slice() ?? new Uint8Array()).buffer);
  const found = dequantize("i8", bytes, shape);
  const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const [i, value] of found.entries()) expect(Math.abs(value - numbers[i])).toBeLessThanOrEqual(largest / 127);
});

test("the parts of a file are one base, and each of them is a part of its name", async () => {
  const { metadata, tensors } = contents();
  const names = Object.keys(tensors);
  const half = Math.ceil(names.length / 2);
  const pick = (some: string[]) => Object.fromEntries(some.map((name) => [name, tensors[name]]));
  const split = (no: number, of = 2, total = names.length): Record<string, WrittenValue> => ({
    "split.no": ["u16", no],
    "split.count": ["u16", of],
    "split.tensors.count": ["i32", total],
  });
  const part = (i: number) => `m-0000${i}-of-00002.gguf`;
  const first = written(part(1), { metadata: { ...metadata, ...split(0) }, tensors: pick(names.slice(0, half)) });
  const second = written(part(2), { metadata: split(1), tensors: pick(names.slice(half)) });
  const config = await readModelConfig(first);
  const whole = await loadWeights(LLAMA, config, { weightDtypes });
  expect((await loadWeights(first, config, { weightDtypes })).bytes).toEqual(whole.bytes);
  expect((await baseStamp(first)).split("\n")).toHaveLength(2);
  const hash = await baseHash(first);
  expect(hash).not.toBe(await baseHash(LLAMA));

  const refused = async (path: string) => (await problemsOf(readModelConfig(path))).join();
  expect(await refused(second)).toBe("it is part 2 of 2: name the first");
  written(part(2), { metadata: split(0), tensors: pick(names.slice(half)) });
  expect(await baseHash(first)).not.toBe(hash);
  expect(await refused(first)).toContain("it says that it is part 1 of 2, needed is part 2 of 2");
  written(part(2), { metadata: split(1), tensors: pick(names.slice(half - 1)) });
  expect(await refused(first)).toContain("as a part before it has");
  written(part(2), { metadata: split(1), tensors: pick(names.slice(half + 1)) });
  expect(await refused(first)).toContain(`its parts have ${names.length - 1} tensors, needed are ${names.length}`);
  rmSync(second);
  expect(await refused(first)).toBe(`${part(2)} is not there: fetch the missing part`);
  const alone = written("renamed.gguf", { metadata: { ...metadata, ...split(0) }, tensors });
  expect(await refused(alone)).toContain("needed is part 1 of 1: name the first of all parts");
});

const changes: [what: string, change: Record<string, WrittenValue | undefined>, problems: string[]][] = [
  [
    "another architecture",
    { "general.architecture": ["string", "mamba"] },
    ['general.architecture is "mamba", read are llama, mistral3'],
  ],
  ["no architecture", { "general.architecture": undefined }, ["general.architecture is missing"]],
  ["an adapter", { "general.type": ["string", "adapter"] }, ['general.type is "adapter", needed is a model']],
  [
    "keys that are not read",
    { "llama.expert_shared_count": ["u32", 1], "llama.swin_norm": ["bool", true] },
    [
      "llama.expert_shared_count is 1, which is not read and may change what the model computes",
      "llama.swin_norm is true, which is not read and may change what the model computes",
    ],
  ],
  [
    "experts of which nobody says how many a token goes to",
    { "llama.expert_count": ["u32", 8] },
    ["llama.expert_used_count is missing, needed is a whole number from 1 on"],
  ],
  [
    "attention that is not causal",
    { "llama.attention.causal": ["bool", false] },
    ["llama.attention.causal is false, which is not read"],
  ],
  [
    "sizes that are missing",
    { "llama.block_count": undefined, "llama.embedding_length": undefined },
    [
      "llama.embedding_length is missing, needed is a whole number from 1 on",
      "llama.block_count is missing, needed is a whole number from 1 on",
    ],
  ],
  [
    "a size that is a text",
    { "llama.block_count": ["string", "two"] },
    ['llama.block_count is "two", needed is a whole number'],
  ],
  [
    "layers that differ",
    { "llama.feed_forward_length": ["array", "u32", [32, 48]] },
    ["llama.feed_forward_length is a list of 2"],
  ],
  [
    "half of a head that rotates",
    { "llama.rope.dimension_count": ["u32", 8] },
    ["rope.dimension_count is 8, needed is the width of a head, 16"],
  ],
  [
    "values of another width",
    { "llama.attention.value_length": ["u32", 8] },
    ["attention.value_length is 8, needed is that of keys, 16"],
  ],
  [
    "a scaling that is not read",
    { "llama.rope.scaling.type": ["string", "ntk"] },
    ['rope.scaling.type is "ntk", read are none, linear, yarn'],
  ],
  [
    "an end that is no id",
    { "tokenizer.ggml.eos_token_id": ["f32", 1.5] },
    ["tokenizer.ggml.eos_token_id is 1.5, needed is an id"],
  ],
];

test.each(changes)("%s is refused by name", async (_, change, problems) => {
  const { metadata, tensors } = contents();
  const changed = Object.entries({ ...metadata, ...change }).flatMap(([key, value]) =>
    value ? [[key, value] as const] : [],
  );
  const path = written("m.gguf", { metadata: Object.fromEntries(changed), tensors });
  const found = await problemsOf(readModelConfig(path));
  expect(found.map((problem, i) => problem.slice(0, problems[i]?.length))).toEqual(problems);
});

test("tensors that are not read, and those that are missing, are refused by name", async () => {
  const { metadata, tensors } = contents();
  const extra = { type: 0, shape: [4], bytes: new Uint8Array(16) };
  const withSinks = written("sinks.gguf", { metadata, tensors: { ...tensors, "blk.0.attn_sinks.weight": extra } });
  expect(await problemsOf(readModelConfig(withSinks))).toEqual([
    'its tensors "blk.0.attn_sinks.weight" are not read, and may change what it computes',
  ]);
  const { "blk.0.ffn_up.weight": _, ...others } = tensors;
  const without = written("without.gguf", { metadata, tensors: others });
  const config = await readModelConfig(without);
  expect(await problemsOf(loadWeights(without, config, { weightDtypes }))).toEqual([
    "model.layers.0.mlp.up_proj.weight is in no weight file, needed is F32, F16 or BF16 [32, 32]: fetch the model again",
  ]);
  const { "token_embd.weight": __, ...headless } = tensors;
  expect(await problemsOf(readModelConfig(written("e.gguf", { metadata, tensors: headless })))).toEqual([
    "it has no token_embd.weight",
  ]);
});
