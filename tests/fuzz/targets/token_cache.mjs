/** A token cache whose checksum is made right again: what is accepted are samples, under the hash that they have. */
import { ok, strictEqual } from "node:assert";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { readTokenCache, writeTokenCache } from "../../../packages/data/dist/token_cache.js";
import { joinChunks, tokenStats } from "../../../packages/data/dist/token_set.js";
import { scratchFolder } from "../corpus.mjs";

const HASH_BYTES = 32;
const key = "ab".repeat(32);
const folder = scratchFolder();
export const close = folder.remove;

const lengths = Int32Array.from([3, 2, 0, 5, 4]);
const ids = Int32Array.from({ length: 14 }, (_, i) => (i * 7) % 11);
const target = Uint8Array.from([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1]);
const { tokens, recordOf } = joinChunks([{ ids, target, lengths, truncated: 1, droppedNoTarget: 1 }]);
const problems = [{ file: "d.json", index: 2, field: "output", found: "null", expected: "a text" }];
const stats = tokenStats(tokens, { truncated: 1, droppedNoTarget: 1 });
await writeTokenCache(folder.path, key, { tokens, recordOf, stats, skipped: 1, problems });
const path = join(folder.path, readdirSync(folder.path)[0]);
const original = new Uint8Array(readFileSync(path));

export const corpus = () => [original];

const hashOf = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256"));
const bytesOf = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);

export async function check(bytes) {
  const body = bytes.subarray(0, Math.max(0, bytes.length - HASH_BYTES));
  writeFileSync(path, Buffer.concat([body, hashOf(body).digest()]));
  const read = await readTokenCache(folder.path, key).catch((cause) => {
    ok(cause.message.startsWith("Cannot use "), cause.stack);
    throw new InputError("Cannot use the cache", cause.message, { cause });
  });
  const { tokens: found, stats: counted } = read;
  const counts = `tokens ${found.ids.length} samples ${found.offsets.length - 1}\n`;
  const hash = hashOf(counts, bytesOf(found.ids), found.target, bytesOf(found.offsets)).digest("hex");
  strictEqual(found.hash, hash);
  strictEqual(hash, tokens.hash);
  strictEqual(counted.longest, 5);
  strictEqual(counted.labelled, 7);
}
