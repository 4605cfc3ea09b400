/** Finds the bytes of a text that are no UTF-8. */
import { isUtf8 } from "node:buffer";

/** The first byte that is not UTF-8, as `0xE9`, and its line, counted from 1. */
export function firstNotUtf8(bytes: Buffer): { readonly byte: string; readonly line: number } | undefined {
  if (isUtf8(bytes)) return undefined;
  let line = 1;
  let begin = 0;
  let end = bytes.indexOf(10);
  for (; end >= 0 && isUtf8(bytes.subarray(begin, end)); line++) {
    begin = end + 1;
    end = bytes.indexOf(10, begin);
  }
  const text = bytes.subarray(begin, end < 0 ? undefined : end);
  return { byte: `0x${text[firstReplaced(text)]!.toString(16).toUpperCase().padStart(2, "0")}`, line };
}

/** Where a decoder puts U+FFFD although the bytes, which are not UTF-8, do not spell it. */
function firstReplaced(bytes: Buffer): number {
  const text = bytes.toString("utf8");
  let at = 0;
  let done = 0;
  for (let i = text.indexOf("\ufffd"); ; i = text.indexOf("\ufffd", i + 1)) {
    at += Buffer.byteLength(text.slice(done, i));
    done = i;
    if (bytes[at] !== 0xef || bytes[at + 1] !== 0xbf || bytes[at + 2] !== 0xbd) return at;
  }
}
