/** A tokenizer.json that is accepted gives ids of its vocabulary, the same ones twice, for any text, and turns them back. */
import { deepStrictEqual, ok } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
writeFileSync(join(folder.path, "tokenizer_config.json"), '{"bos_token": "<s>", "eos_token": "</s>"}');
const texts = ["", "ab a: </s> yes", "é \u{1f600} 日本 123456\r\n\t", "a".repeat(500)];

export const corpus = () => filesOf("tests/fuzz/corpus/tokenizer");

export async function check(bytes) {
  writeFileSync(join(folder.path, "tokenizer.json"), bytes);
  const tokenizer = await loadTokenizer(folder.path);
  for (const text of texts) {
    const ids = tokenizer.encode(text, { specialTokensAsText: true });
    ok(
      ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabularySize),
      "an id beyond the vocabulary",
    );
    deepStrictEqual(tokenizer.encode(text, { specialTokensAsText: true }), ids);
    ok(typeof tokenizer.decode(ids) === "string");
  }
}
