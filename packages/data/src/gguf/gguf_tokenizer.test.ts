/** Tokenizers in GGUF files: the ids of the tokenizers that the files were made of, or a refusal that says what to name instead. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { absentModules, python } from "../../../../tests/support/python.ts";
import { type WrittenValue, writeGguf } from "../../../core/test/gguf_writer.ts";
import { scriptTexts } from "../../test/sentencepiece/texts.ts";
import { parseSentencePieceModel } from "../sentencepiece/model_file.ts";
import { loadTemplate } from "../templates.ts";
import { loadTokenizer } from "../tokenizer.ts";

const here = (name: string) => fileURLToPath(new URL(`../../test/${name}`, import.meta.url));
const shared = (name: string) => fileURLToPath(new URL(`../../../../../shared/${name}`, import.meta.url));

const scratch = mkdtempSync(join(tmpdir(), "zerogate-gguf-"));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Ids {
  readonly texts: readonly string[];
  readonly ids: Readonly<Record<string, readonly (readonly number[])[]>>;
}

const names = ["gpt-2", "llama-bpe", "qwen2", "smollm", "tekken"];

async function expectIds(folder: string, pre: string): Promise<void> {
  const { texts, ids } = JSON.parse(readFileSync(join(folder, "ids.json"), "utf8")) as Ids;
  const tokenizer = await loadTokenizer(join(folder, `${pre}.gguf`));
  for (const [i, text] of texts.entries()) expect([text, tokenizer.encode(text)]).toEqual([text, ids[pre]?.[i]]);
  const plain = tokenizer.encode("<|im_start|>a", { addSpecialTokens: false, specialTokensAsText: true });
  expect(plain.length).toBeGreaterThan(5);
  expect(tokenizer.decode(plain)).toBe("<|im_start|>a");
}

test.each(names)("%s: the ids of the tokenizer that the file was made of", async (pre) => {
  await expectIds(here("gguf/"), pre);
});

const reason = absentModules("gguf", "tokenizers", "transformers");
test.skipIf(reason !== "")(`the same of files that are made now${reason}`, async () => {
  execFileSync(python, [here("gguf/make.py"), scratch], { stdio: "ignore" });
  for (const pre of names) await expectIds(scratch, pre);
});

/** A SentencePiece model as llama.cpp's converter writes it. */
function ofSentencePiece(
  file: string,
  more: Readonly<Record<string, WrittenValue>> = {},
  architecture = "llama",
): string {
  const { pieces } = parseSentencePieceModel(readFileSync(file));
  const types = ["", "normal", "unknown", "control", "user-defined", "unused", "byte"];
  const spelled = pieces.map(({ text, type }) =>
    type === "user-defined" && /^▁+$/.test(text) ? " ".repeat(text.length) : text,
  );
  const path = join(scratch, `${Math.random().toString(36).slice(2)}.gguf`);
  const idOf = (text: string): WrittenValue => ["u32", pieces.findIndex((piece) => piece.text === text)];
  writeFileSync(
    path,
    writeGguf({
      metadata: {
        "general.architecture": ["string", architecture],
        "tokenizer.ggml.model": ["string", "llama"],
        "tokenizer.ggml.pre": ["string", "default"],
        "tokenizer.ggml.tokens": ["array", "string", spelled],
        "tokenizer.ggml.scores": ["array", "f32", pieces.map(({ score }) => score)],
        "tokenizer.ggml.token_type": ["array", "i32", pieces.map(({ type }) => types.indexOf(type))],
        "tokenizer.ggml.bos_token_id": idOf("<s>"),
        "tokenizer.ggml.eos_token_id": idOf("</s>"),
        ...more,
      },
    }),
  );
  return path;
}

interface Golden {
  readonly models: Readonly<Record<string, { readonly ids: number[][]; readonly decoded: string[] }>>;
}
const golden = JSON.parse(readFileSync(here("sentencepiece/golden.json"), "utf8")) as Golden;

test.each([
  ["bpe_bytes", {}],
  ["bpe_own", { "tokenizer.ggml.remove_extra_whitespaces": ["bool", true] }],
] as [string, Record<string, WrittenValue>][])(
  "SentencePiece's %s: the ids of its Python library",
  async (name, more) => {
    const texts = scriptTexts(120);
    const tokenizer = await loadTokenizer(ofSentencePiece(here(`sentencepiece/${name}.model`), more));
    const { ids = [], decoded = [] } = golden.models[name] ?? {};
    expect(ids.length).toBe(texts.length);
    for (const [i, text] of texts.entries()) {
      const own = tokenizer.encode(text, { addSpecialTokens: false, specialTokensAsText: true });
      expect([text, own]).toEqual([text, ids[i]]);
      if (own.includes(0)) continue; // the unknown piece has a text of its own here, as in tokenizer.json
      expect(tokenizer.decode(own, { keepSpecialTokens: true })).toBe(decoded[i]);
    }
    expect(tokenizer.encode("a").slice(0, -1)).toEqual([
      tokenizer.bosId,
      ...tokenizer.encode("a", { addSpecialTokens: false }).slice(0, -1),
    ]);
  },
);

test("the template of chats that the file has is the model's own; a file without one is refused", async () => {
  const model = here("sentencepiece/bpe_bytes.model");
  const source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}";
  const tokenizer = await loadTokenizer(ofSentencePiece(model, { "tokenizer.chat_template": ["string", source] }));
  expect(await loadTemplate("chat", tokenizer)).toMatchObject({ chat: source, tokens: { bos_token: "<s>" } });
  const without = await loadTokenizer(ofSentencePiece(model));
  await expect(loadTemplate("chat", without)).rejects.toThrow("has no chat template");
});

const llama2 = shared("data/llama2-tokenizer");
test.skipIf(!existsSync(llama2))("Llama 2's, from a GGUF file and from its own (skipped without shared/)", async () => {
  const path = ofSentencePiece(join(llama2, "tokenizer.model"));
  const [ours, theirs] = [await loadTokenizer(path), await loadTokenizer(llama2)];
  for (const text of scriptTexts(400)) expect(ours.encode(text)).toEqual(theirs.encode(text));
});

const stories = shared("data/stories260K");
test.skipIf(!existsSync(stories))(
  "stories260K's own GGUF file: words as its tokenizer.json (skipped without shared/)",
  async () => {
    const ours = await loadTokenizer(join(stories, "original/stories260Ktok512.gguf"));
    const theirs = await loadTokenizer(stories);
    expect(ours.frontIds()).toEqual(theirs.frontIds());
    expect([ours.bosId, ours.eosId, ours.vocabularySize]).toEqual([theirs.bosId, theirs.eosId, theirs.vocabularySize]);
    for (const text of ["Once upon a time", "Lily's mom said, “Hello!” 123", "色は", "a\nb"]) {
      expect(ours.encode(text)).toEqual(theirs.encode(text));
    }
  },
);

describe("what the ids cannot be known of is refused", () => {
  const refusal = async (more: Readonly<Record<string, WrittenValue>>, architecture?: string) => {
    const path = ofSentencePiece(here("sentencepiece/bpe_bytes.model"), more, architecture);
    return await loadTokenizer(path).then(
      () => "not refused",
      (error: Error) => error.message.replace(path, "FILE"),
    );
  };
  test.each([
    [
      { "tokenizer.ggml.model": ["string", "t5"] },
      'tokenizer.ggml.model is "t5", read are "gpt2" and "llama": name the folder of the tokenizer with --tokenizer',
    ],
    [
      { "tokenizer.ggml.model": ["string", "gpt2"] },
      'tokenizer.ggml.pre is "default", which says how texts are cut, read are gpt-2, llama3',
    ],
    [
      { "tokenizer.ggml.tokens": ["array", "string", ["a", "a"]] },
      "tokenizer.ggml.tokens has 2 tokens, 1 of them twice",
    ],
    [
      { "tokenizer.ggml.scores": ["array", "f32", [1, 2]] },
      "tokenizer.ggml.scores is a list of 2 numbers, needed is a list of numbers of 600",
    ],
    [{ "tokenizer.ggml.eos_token_id": ["u32", 600] }, "tokenizer.ggml.eos_token_id is 600, needed is an id below 600"],
    [
      { "tokenizer.ggml.add_bos_token": ["string", "yes"] },
      'tokenizer.ggml.add_bos_token is "yes", needed is true or false',
    ],
    [
      { "tokenizer.ggml.token_type": ["array", "i32", Array.from({ length: 600 }, () => 1)] },
      "it has 0 unknown pieces, one is needed",
    ],
  ] as [Record<string, WrittenValue>, string][])("%j", async (more, problem) => {
    expect(await refusal(more)).toContain(`Cannot load the tokenizer from FILE: `);
    expect(await refusal(more)).toContain(problem);
  });

  test("Gemma's pieces in another order than their scores", async () => {
    const scores = {
      "tokenizer.ggml.scores": ["array", "f32", Array.from({ length: 600 }, (_, i) => (i * 7) % 13)],
    } as const;
    expect(await refusal(scores, "gemma3")).toContain("its scores order its pieces otherwise than their ids do");
    expect(await refusal({}, "gemma3")).toBe("not refused");
  });
});
