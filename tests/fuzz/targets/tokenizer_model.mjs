/** A `tokenizer.model` of SentencePiece that is accepted gives ids of its pieces, the same ones twice, for any text, and turns them back. */
import { deepStrictEqual, ok } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const texts = ["", "ab a: </s> yes", "é \u{1f600} 日本 ÉÉ 123456\r\n\t", "a".repeat(500), " ".repeat(300)];

export const corpus = () => filesOf("packages/data/test/sentencepiece", /\.model$/);

export async function check(bytes) {
  writeFileSync(join(folder.path, "tokenizer.model"), bytes);
  const tokenizer = await loadTokenizer(folder.path);
  for (const text of texts) {
    const ids = tokenizer.encode(text, { specialTokensAsText: true });
    const isOwn = ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabularySize);
    ok(isOwn, "an id beyond the vocabulary");
    deepStrictEqual(tokenizer.encode(text, { specialTokensAsText: true }), ids);
    ok(typeof tokenizer.decode(ids) === "string");
  }
}
