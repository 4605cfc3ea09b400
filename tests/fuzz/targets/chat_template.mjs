/**
 * Chat templates, which are programs of strangers: one that is accepted trains what the assistant says up to the token that ends it,
 * and nothing that the user says; any other ends within limits of time and memory.
 */
import { deepStrictEqual, ok } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadTemplate, loadTokenizer, prepareTokens } from "@zerogate/data";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const path = join(folder.path, "template.jinja");
const paths = join(folder.path, "chats.json");
const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../../packages/trainer/world/base", import.meta.url)));

const chat = (...texts) => ({
  messages: texts.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content })),
});
const chats = [chat("Who is it?", "zzz"), chat("And </s> then?", "zzz", "Again?", "zzz zzz")];
writeFileSync(paths, JSON.stringify([...chats, { ...chats[0], tools: [{ name: "add", at: 1.5 }] }]));

export const corpus = () => filesOf("tests/fuzz/corpus/chat_template");

export async function check(bytes) {
  writeFileSync(path, bytes);
  const template = await loadTemplate(path, tokenizer);
  const options = { paths, tokenizer, template, rule: "response", maxLength: 4096 };
  const { tokens, recordOf } = await prepareTokens(options);
  const ends = new Set(tokenizer.specialTokens.map((token) => tokenizer.encode(token, { addSpecialTokens: false })[0]));
  for (const s of recordOf.keys()) {
    const [from, to] = [tokens.offsets[s], tokens.offsets[s + 1]];
    ok(tokens.target[from] === 0, "nothing precedes the first token");
    for (let t = from + 1; t < to; t++) {
      const isEnd = tokens.target[t] === 1 && (t + 1 === to || tokens.target[t + 1] === 0);
      if (isEnd) ok(ends.has(tokens.ids[t]), `what is trained of sample ${s} ends with ${tokens.ids[t]}`);
    }
  }
  const again = await prepareTokens(options);
  deepStrictEqual(again.tokens.hash, tokens.hash);
}
