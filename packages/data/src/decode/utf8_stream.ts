/** Text from bytes of UTF-8 as they come: a character is handed on once all of its bytes are there. */

/** Bytes on their way to text. */
export interface Utf8Stream {
  /** Takes bytes, and returns the text that no further byte can change. */
  push(bytes: readonly number[] | Uint8Array): string;
  /** Returns the text of what is left, and begins anew. */
  end(): string;
}

/**
 * Opens an empty stream. Bytes that are no character become U+FFFD.
 *
 * @param decode makes text of bytes that end with a whole character or with bytes that are none.
 */
export function openUtf8Stream(decode: (bytes: Uint8Array) => string): Utf8Stream {
  let begun: readonly number[] = [];
  return {
    push(bytes) {
      const all = Uint8Array.from([...begun, ...bytes]);
      const whole = all.length - begunLength(all);
      begun = Array.from(all.subarray(whole));
      return whole === 0 ? "" : decode(all.subarray(0, whole));
    },
    end() {
      const text = begun.length === 0 ? "" : decode(Uint8Array.from(begun));
      begun = [];
      return text;
    },
  };
}

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Writes one U+FFFD for as many bytes as begin a character, as the WHATWG and Rust's `from_utf8_lossy` do. */
export function decodeLossy(bytes: Uint8Array): string {
  return lossy.decode(bytes);
}

/** Writes one U+FFFD for each byte that is of no character, as SentencePiece does. */
export function decodeByteByByte(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    try {
      text += strict.decode(bytes.subarray(at, at + length));
      at += length;
    } catch {
      text += "\ufffd";
      at++;
    }
  }
  return text;
}

/** How many bytes at the end begin a character and are not all of it. */
function begunLength(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const first = bytes[bytes.length - length] ?? 0;
    const isContinuation = first >= 0x80 && first < 0xc0;
    if (!isContinuation) return isBeginning(bytes.subarray(bytes.length - length)) ? length : 0;
  }
  return 0;
}

/** Whether a character may go on behind these bytes, which are continuations but for the first (Unicode, table 3-7). */
function isBeginning(bytes: Uint8Array): boolean {
  const [first = 0, second] = bytes;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (bytes.length >= length) return false;
  if (second === undefined) return true;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  return second >= least && second <= most;
}
