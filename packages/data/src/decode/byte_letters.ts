/** The letters that stand for bytes in byte-level vocabularies, as GPT-2 has them: printable bytes for themselves, others from U+0100 on. */

const isOwn = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
const bytes = Array.from({ length: 256 }, (_, byte) => byte);
const others = bytes.filter((byte) => !isOwn(byte));

const byteOfLetter: ReadonlyMap<string, number> = new Map(
  bytes.map((byte) => [String.fromCodePoint(isOwn(byte) ? byte : 256 + others.indexOf(byte)), byte]),
);

/** Returns the bytes of a token: of its letters, or its own in UTF-8 if a character of it is no such letter. */
export function bytesOfLetters(token: string): readonly number[] | Uint8Array {
  const found: number[] = [];
  for (const letter of token) {
    const byte = byteOfLetter.get(letter);
    if (byte === undefined) return new TextEncoder().encode(token);
    found.push(byte);
  }
  return found;
}
