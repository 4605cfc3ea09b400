/** `generate` follows generation_config.json: where it ends, how long it is, and on request how it samples. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const cwd = testFolder();
const generate = async (config: object, ...flags: string[]) => {
  writeFileSync(join(cwd, "base", "generation_config.json"), JSON.stringify(config));
  const args = ["generate", "--model", "base", "--engine", "reference", "--json", "--prompt", "Name item", ...flags];
  const { code, stderr, json } = await zerogateHere(args, { cwd });
  return { code, stderr, answer: json[0] as { tokens: number[]; finishReason: string; text: string } };
};

beforeAll(() => cpSync(base, join(cwd, "base"), { recursive: true }));

test("a token that only generation_config.json calls an end ends the answer [T-A6, T-case13]", async () => {
  const long = await generate({}, "--max-new-tokens", "6");
  const [, second] = long.answer.tokens;
  expect(long.answer.tokens.length).toBeGreaterThan(1);
  const ended = await generate({ eos_token_id: [2, second] }, "--max-new-tokens", "6");
  expect(ended.answer).toMatchObject({ finishReason: "eos" });
  expect(ended.answer.tokens.length).toBeLessThan(long.answer.tokens.length);
});

test("its limit is the default one, and its sampling is used on request only [T-A6]", async () => {
  const config = { max_new_tokens: 3, do_sample: true, temperature: 50, top_k: 0 };
  const greedy = await generate(config);
  expect(greedy.answer).toMatchObject({ finishReason: "length" });
  expect(greedy.answer.tokens).toHaveLength(3);
  const hot = await generate(config, "--sampling-defaults", "--seed", "3");
  expect(hot.answer.text).not.toBe(greedy.answer.text);
  const refused = await generate({}, "--sampling-defaults");
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("asks for no sampling") });
});

test("its max_length limits prompt and answer together where nothing limits the answer alone [T-A6]", async () => {
  const free = await generate({});
  expect(free.answer.tokens.length).toBeGreaterThan(3);
  const lengths = async (maxLength: number, ...flags: string[]) =>
    (await generate({ max_length: maxLength }, ...flags)).answer.tokens.length;
  const three = [await lengths(6), await lengths(7)];
  expect(three[1]).toBe((three[0] ?? 0) + 1);
  expect(await lengths(1)).toBe(1);
  expect(await lengths(6, "--max-new-tokens", "9")).toBe(Math.min(9, free.answer.tokens.length));
  const both = await generate({ max_length: 6, max_new_tokens: 8 });
  expect(both.answer.tokens).toHaveLength(Math.min(8, free.answer.tokens.length));
});

test("flags of sampling change the answer as the library's options do, and generation_config.json sets those that it names [T-A6]", async () => {
  const limit = ["--max-new-tokens", "8"];
  const plain = await generate({}, ...limit);
  const [first = 0] = plain.answer.tokens;
  const biased = await generate({}, ...limit, "--logit-bias", `${first}=-100`);
  expect(biased.answer.tokens[0]).not.toBe(first);
  const hot = ["--temperature", "50", "--seed", "1", ...limit];
  expect((await generate({}, ...hot, "--min-p", "1")).answer.tokens).toEqual(plain.answer.tokens);
  const penalties = ["--repetition-penalty", "--presence-penalty", "--frequency-penalty"];
  for (const flag of penalties) {
    const { tokens } = (await generate({}, "--max-new-tokens", "24", flag, "90")).answer;
    expect(new Set(tokens).size, flag).toBe(tokens.length);
  }
  const named = await generate({ repetition_penalty: 90 }, ...limit, "--sampling-defaults");
  expect(named.answer.tokens).toEqual((await generate({}, ...limit, "--repetition-penalty", "90")).answer.tokens);
});

test("sampling that cannot be done is refused with the flag or the key", async () => {
  const wrong = [
    "--min-p",
    "2",
    "--repetition-penalty",
    "0",
    "--logit-bias",
    "x=1",
    "--logit-bias",
    "4=1",
    "--logit-bias",
    "4=2",
  ];
  const { code, stderr } = await generate({}, ...wrong);
  expect(code).toBe(2);
  for (const part of [
    '--min-p is "2"',
    '--repetition-penalty is "0"',
    '--logit-bias is "x=1", expected TOKEN=BIAS',
    "token 4 twice",
  ])
    expect(stderr).toContain(part);
  const config = { do_sample: true, num_beams: 4, typical_p: 1, no_repeat_ngram_size: 3 };
  expect((await generate(config)).code).toBe(0);
  const refused = await generate(config, "--sampling-defaults");
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("asks for num_beams, no_repeat_ngram_size, which is not done here"),
  });
});
