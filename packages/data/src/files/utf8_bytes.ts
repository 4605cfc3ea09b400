/** Bytes of a text, checked to be UTF-8 as they come. */
import { isUtf8 } from "node:buffer";
import { iconv } from "../conversions.ts";
import { firstNotUtf8 } from "../not_utf8.ts";
import type { ByteSource } from "./byte_source.ts";

const LINE_BREAK = 10;

/** Reads whole characters. @throws Error that names the line and the byte which is not UTF-8. */
export async function* utf8Bytes(source: ByteSource): AsyncGenerator<Buffer> {
  let begun: Buffer = Buffer.alloc(0);
  let lines = 0;
  for await (const piece of source.read()) {
    const bytes = begun.length === 0 ? piece : Buffer.concat([begun, piece]);
    const whole = bytes.subarray(0, bytes.length - begunBytes(bytes));
    if (!isUtf8(whole)) throw new Error(notUtf8(source.path, whole, lines));
    for (let at = whole.indexOf(LINE_BREAK); at >= 0; at = whole.indexOf(LINE_BREAK, at + 1)) lines++;
    begun = bytes.subarray(whole.length);
    if (whole.length > 0) yield whole;
  }
  if (begun.length > 0) throw new Error(notUtf8(source.path, begun, lines));
}

/** Says which byte is none of UTF-8, behind this number of whole lines. */
export function notUtf8(path: string, bytes: Buffer, linesBefore = 0): string {
  const { byte, line } = firstNotUtf8(bytes) ?? { byte: "0x00", line: 1 };
  const found = `line ${linesBefore + line} holds the byte ${byte}, which is not UTF-8`;
  return `${found}: save the file as UTF-8, or if it is Latin-1: ${iconv(path, "WINDOWS-1252")}`;
}

/** Bytes at the end that begin a character and are not all of it, at most 3. */
function begunBytes(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? back : 0;
  }
  return 0;
}
