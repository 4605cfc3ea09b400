/**
 * Rules of normalisation in SentencePiece's compiled form (`precompiled_charsmap`): the size of a trie, the trie as a double
 * array of Darts-clone, and the texts that its values point to, each ended by a zero byte. A rule replaces the longest text that
 * it knows. Layout: `Normalizer::DecodePrecompiledCharsMap` of SentencePiece 0.2, `DoubleArrayUnit` of Darts-clone 0.32.
 */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Finds the longest rule for the text that begins at `at`: its length there and what it is replaced by. */
export type Charsmap = (text: string, at: number) => { readonly length: number; readonly content: string } | undefined;

/** @throws Error if the form is damaged. */
export function readCharsmap(bytes: Uint8Array): Charsmap {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = bytes.byteLength < 4 ? Number.NaN : data.getUint32(0, true);
  if (!(trieBytes > 0 && trieBytes % 4 === 0 && 4 + trieBytes < bytes.byteLength)) {
    throw new Error(`the rules of its normalizer have ${bytes.byteLength} bytes and claim a trie of ${trieBytes}`);
  }
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => data.getUint32(4 + 4 * i, true));
  const contents = bytes.subarray(4 + trieBytes);
  if (contents.at(-1) !== 0) throw new Error("the rules of its normalizer end in the middle of a text");
  checkContents(units, contents);
  return (text, at) => {
    let node = offsetOf(units[0] ?? 0);
    let found: { length: number; value: number } | undefined;
    for (let end = at; end < text.length; ) {
      const character = text.codePointAt(end) ?? 0;
      const next = walk(units, node, character);
      if (next === undefined) break;
      node = next.node;
      end += character > 0xffff ? 2 : 1;
      const unit = units[node] ?? 0;
      if (next.hasValue && isValue(unit)) found = { length: end - at, value: valueOf(unit) };
    }
    if (found === undefined) return undefined;
    const { length, value } = found;
    return { length, content: decoder.decode(contents.subarray(value, contents.indexOf(0, value))) };
  };
}

/** Goes on by the bytes of a character; undefined if no rule does. */
function walk(units: Uint32Array, from: number, character: number): { node: number; hasValue: boolean } | undefined {
  let node = from;
  let hasValue = false;
  for (const byte of utf8(character)) {
    const unit = units[node ^ byte];
    if (unit === undefined || labelOf(unit) !== byte) return undefined;
    node ^= byte ^ offsetOf(unit);
    hasValue = ((unit >>> 8) & 1) === 1;
  }
  return { node, hasValue };
}

/** Every value leads to the begin of a character. */
function checkContents(units: Uint32Array, contents: Uint8Array): void {
  try {
    decoder.decode(contents);
  } catch {
    throw new Error("the rules of its normalizer hold a text that is not UTF-8");
  }
  const isBegin = (at: number) => ((contents[at] ?? 0x80) & 0xc0) !== 0x80;
  const wrong = units.find((unit) => isValue(unit) && !isBegin(valueOf(unit)));
  if (wrong !== undefined)
    throw new Error(`the rules of its normalizer name byte ${valueOf(wrong)} of their texts, where none begins`);
}

const isValue = (unit: number): boolean => unit >>> 31 === 1;
const valueOf = (unit: number): number => unit & 0x7fffffff;

/** A unit that holds a value has its highest bit set, and so no byte for a label. */
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

function utf8(character: number): number[] {
  if (character < 0x80) return [character];
  const low = (shift: number) => 0x80 | ((character >> shift) & 0x3f);
  if (character < 0x800) return [0xc0 | (character >> 6), low(0)];
  if (character < 0x10000) return [0xe0 | (character >> 12), low(6), low(0)];
  return [0xf0 | (character >> 18), low(12), low(6), low(0)];
}
