/** A token cache whose checksum is made right again: what is accepted are samples, under the hash that they have. */
import { ok, strictEqual } from "node:assert";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@zerogate/core";
import { loadTemplate, loadTokenizer, prepareTokens } from "@zerogate/data";
import { readTokenCache } from "../../../packages/data/dist/token_cache.js";
import { scratchFolder } from "../corpus.mjs";

const HASH_BYTES = 32;
const folder = scratchFolder();
export const close = folder.remove;

const base = fileURLToPath(new URL("../../../packages/trainer/world/base", import.meta.url));
const data = join(folder.path, "data.json");
const cacheDir = join(folder.path, "cache");
const records = ["one", "two words", "", "three of them", null].map((output, i) => ({
  instruction: `Say ${i}`,
  output,
}));
writeFileSync(data, JSON.stringify(records));
const { tokens, stats } = await prepareTokens({
  paths: data,
  tokenizer: await loadTokenizer(base),
  template: await loadTemplate("plain"),
  rule: "response",
  maxLength: 10,
  skipBad: true,
  cacheDir,
});
const [name] = readdirSync(cacheDir);
const key = name.replace(/\.tokens$/, "");
const path = join(cacheDir, name);
const original = new Uint8Array(readFileSync(path));

export const corpus = () => [original];

const hashOf = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256"));
const bytesOf = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);

export async function check(bytes) {
  const body = bytes.subarray(0, Math.max(0, bytes.length - HASH_BYTES));
  writeFileSync(path, Buffer.concat([body, hashOf(body).digest()]));
  const read = await readTokenCache(cacheDir, key).catch((cause) => {
    ok(cause.message.startsWith("Cannot use "), cause.stack);
    throw new InputError("Cannot use the cache", cause.message, { cause });
  });
  const { tokens: found, stats: counted } = read;
  const counts = `tokens ${found.ids.length} samples ${found.offsets.length - 1}\n`;
  const hash = hashOf(counts, bytesOf(found.ids), found.target, bytesOf(found.offsets)).digest("hex");
  strictEqual(found.hash, hash);
  strictEqual(hash, tokens.hash);
  strictEqual(counted.longest, stats.longest);
  strictEqual(counted.labelled, stats.labelled);
}
