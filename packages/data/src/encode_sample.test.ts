import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { BOS, EOS, tinyTokenizerFiles, tinyTokenizerJson } from "../test/tiny_tokenizer.ts";
import { encodeChunk, encodePrompt, encodeSample } from "./encode_sample.ts";
import { loadTemplate } from "./templates.ts";
import { createTokenizer } from "./tokenizer.ts";

const tiny = createTokenizer(tinyTokenizerFiles());
const { vocab } = tinyTokenizerJson().model;
const pieces = (...texts: string[]) => texts.map((text) => vocab[text]!);

/** The instruction alone is the prompt. */
const format = {
  template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
  rule: "response",
  maxLength: 100,
} as const;
const record = (instruction: string, output: string) => ({ instruction, input: "", output });

test("a sample is BOS, prompt, response, EOS, and the response with its EOS is the target [E5]", () => {
  const { ids, firstTarget, wholeLength } = encodeSample(tiny, format, record("ab", "cd"));
  expect(ids).toEqual([BOS, ...pieces("▁ab", "c", "d"), EOS]);
  expect([firstTarget, wholeLength]).toEqual([2, 5]);
  expect(encodeSample(tiny, { ...format, rule: "all" }, record("ab", "cd")).firstTarget).toBe(1);
});

const without = (part: string) => createTokenizer(tinyTokenizerFiles({ ...tinyTokenizerJson(), [part]: null }));
const bert = { type: "BertProcessing", cls: ["<s>", BOS], sep: ["</s>", EOS] };
const start = (token: string, id: number) => ({
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [],
  special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
});
const ends = { ...start("</s>", EOS), single: start("</s>", EOS).single.toReversed() };
const sequence = { type: "Sequence", processors: [{ type: "ByteLevel" }, start("<s>", BOS), start("</s>", EOS)] };

test.each([
  ["none", null, []],
  ["bytes only", { type: "ByteLevel" }, []],
  ["a template with a BOS", start("<s>", BOS), [BOS]],
  ["a template with an end only", ends, []],
  ["BERT's", bert, [BOS]],
  ["RoBERTa's", { ...bert, type: "RobertaProcessing" }, [BOS]],
  ["several, each in front of the one before", sequence, [EOS, BOS]],
])(
  "what goes in front is what the post-processor puts there and nothing else: %s [T-A5, T-case11]",
  (_, processor, front) => {
    const tokenizer = createTokenizer(tinyTokenizerFiles({ ...tinyTokenizerJson(), post_processor: processor }));
    expect(tokenizer.frontIds()).toEqual(front);
    expect(encodeSample(tokenizer, format, record("ab", "c")).ids).toEqual([...front, ...pieces("▁ab", "c"), EOS]);
    const prompt = encodePrompt(tokenizer, format, { instruction: "ab", input: "" });
    expect(prompt).toEqual([...front, ...pieces("▁ab")]);
  },
);

test("by the rule of 0.1.0 the BOS that is named goes in front, independent of the post-processor [T-A5, T-case11]", () => {
  const named = { ...format, bos: "named" } as const;
  for (const tokenizer of [tiny, without("post_processor")]) {
    expect(encodeSample(tokenizer, named, record("ab", "c")).ids).toEqual([BOS, ...pieces("▁ab", "c"), EOS]);
  }
  const unnamed = createTokenizer(tinyTokenizerFiles(tinyTokenizerJson(), { eos_token: "</s>" }));
  expect(encodeSample(unnamed, named, record("ab", "c")).ids).toEqual([...pieces("▁ab", "c"), EOS]);
});

test("what the template spells in front is not put there again", () => {
  const spelled = { ...format, template: { name: "spelled", withInput: "", withoutInput: "<s>{instruction}" } };
  expect(encodeSample(tiny, spelled, record("ab", "c")).ids).toEqual([BOS, ...pieces("▁ab", "c"), EOS]);
});

test("if nothing goes in front, a sample starts with the prompt, and its first token is never a target", () => {
  const silent = without("post_processor");
  expect(encodeSample(silent, { ...format, rule: "all" }, record("ab", "c")).firstTarget).toBe(1);
  expect(encodeSample(silent, format, record("a", "b")).firstTarget).toBe(1); // "▁ab" swallows the prompt
});

test("if a merge reaches over the end of the prompt, the merged token is the first target", () => {
  const { ids, firstTarget } = encodeSample(tiny, format, record("ab:", "yes"));
  expect(ids).toEqual([BOS, ...pieces("▁ab", ":y", "e", "s"), EOS]);
  expect(firstTarget).toBe(2); // the prompt alone is BOS ▁ab : and so one token longer
});

test("a special token spelled by a record is text: it can neither end the sample nor start another", () => {
  const { ids } = encodeSample(tiny, format, record("a</s>", "<s>b</s>"));
  expect(ids.filter((id) => id === BOS)).toHaveLength(1);
  expect(ids.filter((id) => id === EOS)).toHaveLength(1);
  expect(tiny.decode(ids)).toBe("a</s><s>b</s>");
});

test("special tokens of the template are special, and a record that spells one as well is refused", () => {
  const turns = { ...format, template: { name: "turns", withInput: "", withoutInput: "{instruction}</s>" } };
  expect(encodeSample(tiny, turns, record("ab", "c")).ids).toEqual([
    BOS,
    ...pieces("▁ab"),
    EOS,
    ...pieces("▁", "c"),
    EOS,
  ]);
  expect(() => encodeSample(tiny, turns, record("ab</s>", "c"))).toThrow(InputError);
  expect(() => encodeSample(tiny, turns, record("ab</s>", "c"))).toThrow(
    'the one that begins "ab</s>" spells a special token and so does the template',
  );
});

test("samples are cut on the right at maxLength and counted; those without a target left are dropped and counted [E5]", () => {
  const records = [record("ab", "cd"), record("ab", "cdef"), record("cdefg", "h"), record("ab", "c")];
  const chunk = encodeChunk(tiny, { ...format, maxLength: 5 }, records);
  expect([...chunk.lengths]).toEqual([5, 5, 0, 4]);
  expect([chunk.truncated, chunk.droppedNoTarget]).toEqual([2, 1]);
  expect([[...chunk.wholeLengths], [...chunk.neededLengths]]).toEqual([
    [5, 7, 9, 4],
    [3, 3, 8, 3],
  ]);
  expect([...chunk.ids]).toEqual(
    [
      [BOS, ...pieces("▁ab", "c", "d"), EOS],
      [BOS, ...pieces("▁ab", "c", "d", "e")],
      [BOS, ...pieces("▁ab", "c"), EOS],
    ].flat(),
  );
  expect([...chunk.target]).toEqual([0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1]);
});

test("in ScienceQA's template a space stands before the answer, and is the answer's", async () => {
  const template = await loadTemplate("scienceqa");
  const asked = { instruction: "ab", input: "cd", output: "ab" };
  const { ids, firstTarget } = encodeSample(tiny, { ...format, template }, asked);
  const text = (whole: string) => tiny.encode(whole, { addSpecialTokens: false });
  expect(ids).toEqual([BOS, ...text("ab\ncd\nAnswer: ab"), EOS]);
  expect(ids).not.toEqual([BOS, ...text("ab\ncd\nAnswer:ab"), EOS]);
  expect(ids.slice(0, firstTarget)).toEqual(encodePrompt(tiny, { template }, asked));
});
