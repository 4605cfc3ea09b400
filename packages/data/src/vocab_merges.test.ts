/** Folders with vocab.json and merges.txt instead of a tokenizer.json: the ids of the class that reads them. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { absentModules, python } from "../../../tests/support/python.ts";
import { scriptTexts } from "../test/sentencepiece/texts.ts";
import { createTokenizer, loadTokenizer } from "./tokenizer.ts";

interface Json {
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly (string | string[])[] };
  readonly added_tokens: readonly object[];
}
const base = fileURLToPath(new URL("../../trainer/world/base/tokenizer.json", import.meta.url));
const json = JSON.parse(readFileSync(base, "utf8")) as Json;
const merges = json.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));

const scratch = mkdtempSync(join(tmpdir(), "zerogate-merges-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;

function folderOf(config: object, files: Readonly<Record<string, string>> = {}): string {
  const folder = join(scratch, String(count++));
  mkdirSync(folder);
  const all = {
    "vocab.json": JSON.stringify(json.model.vocab),
    "merges.txt": `#version: 0.2\n${merges.join("\n")}\n`,
    "tokenizer_config.json": JSON.stringify(config),
    ...files,
  };
  for (const [name, text] of Object.entries(all)) writeFileSync(join(folder, name), text);
  return folder;
}

const gpt2 = { tokenizer_class: "GPT2TokenizerFast", bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" };
const qwen2 = {
  tokenizer_class: "Qwen2Tokenizer",
  eos_token: "</s>",
  unk_token: "<unk>",
  pad_token: "</s>",
  added_tokens_decoder: {
    1024: { content: "<|im_start|>", special: true },
    1025: { content: "<tool>", special: false },
  },
};
const texts = [...scriptTexts(120), "It's 1234 o'clock", "  a\n\n b\t", "a</s>b<s>", "<|im_start|>x<tool>y", "e\u0301"];

test.each([
  ["GPT2Tokenizer", gpt2, { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true }],
  [
    "GPT2Tokenizer with a space in front",
    { ...gpt2, add_prefix_space: true },
    { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  ],
])("%s: the ids of a tokenizer.json that cuts words as it does, without BOS [M-merges]", async (_, config, pre) => {
  const tokenizer = await loadTokenizer(folderOf(config));
  const same = createTokenizer({
    directory: "same",
    tokenizerJson: JSON.stringify({ ...json, pre_tokenizer: pre, post_processor: null }),
    tokenizerConfigJson: JSON.stringify(config),
    specialTokensMapJson: "{}",
  });
  for (const text of texts) expect([text, tokenizer.encode(text)]).toEqual([text, same.encode(text)]);
  expect([tokenizer.eosId, tokenizer.bosId, tokenizer.frontIds()]).toEqual([2, 1, []]);
  expect(tokenizer.specialTokens.toSorted()).toEqual(["</s>", "<s>", "<unk>"]);
  expect(tokenizer.decode(tokenizer.encode("It's 1234"))).toContain("It's 1234");
});

const reason = absentModules("transformers");
test.skipIf(reason !== "").each([
  ["GPT2Tokenizer", gpt2],
  ["Qwen2Tokenizer", qwen2],
] as const)(`%s: the ids of the installed transformers${reason} [M-merges]`, async (_, config) => {
  const folder = folderOf(config);
  const code =
    "import sys, json, transformers; t = transformers.AutoTokenizer.from_pretrained(sys.argv[1]);" +
    "print(json.dumps([t(text)['input_ids'] for text in json.load(sys.stdin)]))";
  const out = execFileSync(python, ["-c", code, folder], {
    input: JSON.stringify(texts),
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  const ids = JSON.parse(out.toString()) as number[][];
  const tokenizer = await loadTokenizer(folder);
  for (const [i, text] of texts.entries()) expect([text, tokenizer.encode(text)]).toEqual([text, ids[i]]);
});

test.each([
  [{}, "but it names none: copy tokenizer.json"],
  [{ tokenizer_class: "CLIPTokenizer" }, 'but it is "CLIPTokenizer": copy tokenizer.json'],
  [{ ...gpt2, add_bos_token: true }, "add_bos_token is true"],
])("%j is refused with what to do", async (config, problem) => {
  await expect(loadTokenizer(folderOf(config))).rejects.toThrow(problem);
});

test("a folder with neither is refused with all that is read, and a damaged vocab.json by its name", async () => {
  const folder = folderOf(gpt2, { "vocab.json": '{"a": 0' });
  await expect(loadTokenizer(folder)).rejects.toThrow("vocab.json is not JSON (it ends in the middle");
  rmSync(join(folder, "vocab.json"));
  await expect(loadTokenizer(folder)).rejects.toThrow(
    "nor tekken.json, tokenizer.model, spiece.model, qwen.tiktoken, nor vocab.json with merges.txt: copy one of them",
  );
});

test("spiece.model is read as tokenizer.model is [M-sentencepiece]", async () => {
  const model = readFileSync(fileURLToPath(new URL("../test/sentencepiece/bpe_bytes.model", import.meta.url)));
  const [one, other] = [folderOf({}), folderOf({})];
  writeFileSync(join(one, "spiece.model"), model);
  writeFileSync(join(other, "tokenizer.model"), model);
  const [ours, same] = [await loadTokenizer(one), await loadTokenizer(other)];
  for (const text of texts) expect(ours.encode(text)).toEqual(same.encode(text));
  expect(ours.encode("abc").length).toBeGreaterThan(1);
});
