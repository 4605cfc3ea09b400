import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseGenerationConfig } from "./generation_config.ts";
import { readModelConfig } from "./model_config.ts";

const base = fileURLToPath(new URL("../../../trainer/world/base/", import.meta.url));
const parse = (json: unknown) => parseGenerationConfig(json, "generation_config.json");

test.each([
  [{ eos_token_id: [2, 690] }, [2, 690]],
  [{ eos_token_id: 7 }, [7]],
  [{ eos_token_id: -1 }, []],
  [{ eos_token_id: [-1, 4] }, [4]],
  [{ eos_token_id: null }, undefined],
  [{ bos_token_id: 1 }, undefined],
])("the end tokens of %j are %j [T-A6, T-case13]", (json, ids) => {
  expect(parse(json).eosTokenIds).toEqual(ids);
});

test("limits and other ids are read, and sampling only if the file samples [T-A6]", () => {
  const all = { bos_token_id: 1, pad_token_id: -1, max_new_tokens: 9, max_length: 50, temperature: 0.6, top_p: 0.9 };
  const read = { bosTokenId: 1, padTokenId: undefined, maxNewTokens: 9, maxLength: 50, sampling: undefined };
  expect(parse(all)).toMatchObject(read);
  expect(parse({ ...all, do_sample: true }).sampling).toEqual({ temperature: 0.6, topP: 0.9, topK: 50 });
});

test("min_p and repetition_penalty are read, the penalty of greedy answers too, and what is not done is named [T-A6]", () => {
  const drawn = { temperature: 1, topP: 1, topK: 50 };
  expect(parse({ do_sample: true, min_p: 0.1 }).sampling).toEqual({ ...drawn, minP: 0.1 });
  expect(parse({ repetition_penalty: 1.1 }).sampling).toEqual({
    temperature: 0,
    topP: 1,
    topK: 0,
    repetitionPenalty: 1.1,
  });
  expect(parse({ repetition_penalty: 1, min_p: 0 }).sampling).toBeUndefined();
  expect(parse({ num_beams: 1, typical_p: 0.5, min_length: 0, bad_words_ids: [[3]] }).unfollowed).toEqual([
    "typical_p",
    "bad_words_ids",
  ]);
});

test("what cannot be meant is refused with the key [T-A6]", () => {
  expect(() => parse([])).toThrow(InputError);
  expect(() => parse({ eos_token_id: "2", max_new_tokens: 0.5 })).toThrow(
    /eos_token_id is "2", an id or a list of ids is needed[^]*max_new_tokens is 0.5, a whole number/,
  );
});

test("each number is taken from its least value on, and refused below it [T-A6]", () => {
  const least = {
    temperature: 0,
    top_p: 0,
    top_k: 0,
    max_new_tokens: 1,
    max_length: 1,
    bos_token_id: 0,
    pad_token_id: 0,
  };
  expect(parse({ ...least, do_sample: true })).toEqual({
    eosTokenIds: undefined,
    bosTokenId: 0,
    padTokenId: 0,
    maxNewTokens: 1,
    maxLength: 1,
    sampling: { temperature: 0, topP: 0, topK: 0 },
  });
  expect(parse({ do_sample: true, top_k: null }).sampling).toEqual({ temperature: 1, topP: 1, topK: 50 });
  expect(parse({ do_sample: "true" }).sampling).toBeUndefined();
  expect(parse({ bos_token_id: -1 }).bosTokenId).toBeUndefined();
  const below: [string, unknown, string][] = [
    ["temperature", -0.5, "a number of at least 0"],
    ["top_p", -1, "a number of at least 0"],
    ["top_k", 0.5, "a whole number of at least 0"],
    ["max_new_tokens", 0, "a whole number of at least 1"],
    ["max_length", 0, "a whole number of at least 1"],
    ["bos_token_id", -2, "a whole number of at least -1"],
    ["pad_token_id", "1", "a whole number of at least -1"],
  ];
  for (const [key, value, needed] of below)
    expect(() => parse({ [key]: value })).toThrow(
      `Cannot use generation_config.json: ${key} is ${JSON.stringify(value)}, ${needed} is needed`,
    );
  for (const ids of [-2, 0.5, [1, -2], ["1"]])
    expect(() => parse({ eos_token_id: ids })).toThrow("an id or a list of ids is needed");
  expect(parse({ eos_token_id: 0 }).eosTokenIds).toEqual([0]);
});

test("the model's end tokens are those of the file, else those of its config [T-A6, T-case13]", async () => {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-generation-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp(base, folder, { recursive: true });
  const ends = async (json: object) => {
    await writeFile(join(folder, "generation_config.json"), JSON.stringify(json));
    return (await readModelConfig(folder)).eosTokenIds;
  };
  expect(await ends({ eos_token_id: [2, 690] })).toEqual([2, 690]);
  expect(await ends({ bos_token_id: 1 })).toEqual([2]);
  await rm(join(folder, "generation_config.json"));
  expect((await readModelConfig(folder)).eosTokenIds).toEqual([2]);
});
