/** JSON that only a parser can take apart: a list, values one after another, or a list inside an object. */
import { isUtf8 } from "node:buffer";
import { checkNesting } from "@zerogate/core/formats";
import { parseValues } from "../../json_values.ts";
import type { ByteSource } from "../byte_source.ts";
import type { DataItem, DataItems } from "../data_item.ts";
import { notUtf8 } from "../utf8_bytes.ts";

/** JSON.parse needs the whole text as one string; V8's longest has 2²⁹ − 24 characters. JSONL has no such limit. */
const MAX_JSON_BYTES = 400_000_000;
/** Items at a time: who reads them may be stopped in between. */
const BATCH = 1000;

/** Reads all values of a text. Returns undefined if it is one of lines. @throws Error for what is no JSON, with record and line. */
export async function readJson(
  source: ByteSource,
): Promise<{ readonly values: readonly unknown[]; readonly isList: boolean } | undefined> {
  const text = await readText(source);
  checkNesting(text);
  return parseValues(text);
}

/** The values of a list as items, and how many of them were given. */
export function itemsOf(
  path: string,
  values: readonly unknown[],
): { readonly items: DataItems; readonly share: () => number } {
  let begin = 0;
  async function* batches(): DataItems {
    while (begin < values.length) {
      const batch = values.slice(begin, begin + BATCH);
      const first = begin;
      begin += batch.length;
      yield batch.map((value, i): DataItem => ({ place: { file: path, index: first + i }, value }));
    }
  }
  return { items: batches(), share: () => begin / values.length };
}

/** @throws Error if the file is too long for one text, or not UTF-8. */
export async function readText(source: ByteSource): Promise<string> {
  checkSize(source.bytes ?? 0);
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of source.read()) {
    size += piece.length;
    checkSize(size);
    pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  if (!isUtf8(bytes)) throw new Error(notUtf8(source.path, bytes));
  return new TextDecoder().decode(bytes);
}

function checkSize(size: number): void {
  if (size > MAX_JSON_BYTES) throw new Error(`JSON of ${size} bytes, at most ${MAX_JSON_BYTES} are allowed: use JSONL`);
}
