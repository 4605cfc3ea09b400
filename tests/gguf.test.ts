/** GGUF files through the commands: what they answer and train is what a folder of the same numbers does. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { parseSentencePieceModel } from "../packages/data/src/sentencepiece/model_file.ts";
import { testFolder } from "./support/cli.ts";
import { writeLlamaGguf } from "./support/gguf_of_llama.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, tinyRun } from "./support/world.ts";

const folder = testFolder();
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });
let gguf: string;

beforeAll(() => {
  gguf = writeLlamaGguf(base, join(folder, "world"), {
    "tokenizer.ggml.model": ["string", "gpt2"],
    "tokenizer.ggml.pre": ["string", "of-our-own"],
    "tokenizer.ggml.tokens": ["array", "string", Array.from({ length: 1024 }, (_, i) => `t${i}`)],
    "tokenizer.ggml.merges": ["array", "string", []],
    "tokenizer.ggml.token_type": ["array", "i32", Array.from({ length: 1024 }, () => 1)],
  });
});

test("a run on Q8_0 trains the bits of a run on its numbers, and its adapter finds the file again [M-gguf-q8_0]", async () => {
  const train = (model: string, out: string, ...more: string[]) =>
    run("train", ...tinyRun(folder, { "--model": model, "--steps": "3" }), "--out", out, ...more, "--json");
  const refused = await train(gguf, "refused");
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/of-our-own.*--tokenizer/s);
  expect(await train(gguf, "blocks", "--tokenizer", base)).toMatchObject({ code: 0 });
  expect(await train(join(folder, "world"), "plain")).toMatchObject({ code: 0 });
  expect(adapterHash(join(folder, "blocks"))).toBe(adapterHash(join(folder, "plain")));
  const ask = ["--prompt", "a", "--max-new-tokens", "8", "--json"];
  const found = await run("generate", "--adapter", "blocks/adapter", "--tokenizer", base, ...ask);
  const same = await run("generate", "--adapter", "plain/adapter", ...ask);
  expect([found.code, found.json[0]?.["tokens"]]).toEqual([0, same.json[0]?.["tokens"]]);
  expect(await run("resume", "blocks", "--steps", "4", "--accept-change", "steps", "--json")).toMatchObject({
    code: 0,
  });
});

test("inspect says what a file is, and of one whose tokenizer is refused how it can be used", async () => {
  const { json } = await run("inspect", gguf, "--json");
  expect(json).toMatchObject([{ kind: "model", hiddenSize: 128, weights: { files: 1, types: { Q8_0: 1310720 } } }]);
  expect(json[0]?.["problems"]).toEqual([expect.stringContaining("--tokenizer")]);
});

const stories = fileURLToPath(new URL("../../shared/data/stories260K", import.meta.url));
const noStories = existsSync(stories) ? "" : " (skipped: shared/data/stories260K is not on this machine)";

test.skipIf(noStories !== "")(
  `stories260K in Q8_0, with its tokenizer, tells the stories of its numbers${noStories}`,
  async () => {
    const { pieces } = parseSentencePieceModel(readFileSync(join(stories, "tokenizer.model")));
    const types = ["", "normal", "unknown", "control", "user-defined", "unused", "byte"];
    const path = writeLlamaGguf(stories, join(folder, "stories"), {
      "tokenizer.ggml.model": ["string", "llama"],
      "tokenizer.ggml.pre": ["string", "default"],
      "tokenizer.ggml.tokens": ["array", "string", pieces.map(({ text }) => text)],
      "tokenizer.ggml.scores": ["array", "f32", pieces.map(({ score }) => score)],
      "tokenizer.ggml.token_type": ["array", "i32", pieces.map(({ type }) => types.indexOf(type))],
    });
    for (const prompt of ["Once upon a time", "The little dog", "Lily"]) {
      const tell = async (model: string) => {
        const ask = ["--prompt", prompt, "--max-new-tokens", "60", "--json"];
        const { code, json, stderr } = await run("generate", "--model", model, ...ask);
        expect(code, stderr).toBe(0);
        return [json[0]?.["text"], json[0]?.["tokens"]];
      };
      const told = await tell(path);
      expect(told).toEqual(await tell(join(folder, "stories")));
      expect(told[1]).toHaveLength(60);
    }
  },
);
