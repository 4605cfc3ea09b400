/** Seeded changes of a file's bytes: the same seed gives the same input on every machine. */
import { randomBits } from "@zerogate/core/training";

/** Numbers at which readers go wrong. */
const edges = [0, 1, 2, 7, 8, 63, 64, 127, 128, 255, 256, 32767, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const words = [
  "0",
  "-1",
  "1e999",
  "9007199254740993",
  "18446744073709551615",
  "null",
  "true",
  "[]",
  "{}",
  '""',
  '"__proto__"',
  '"../../x"',
  "\\ud800",
  "\\u0000",
  "NaN",
  "[".repeat(2000),
  '{"a":'.repeat(500),
  " ".repeat(300),
  "&a [*a,*a]",
  "\ufeff",
];

/**
 * One input: an item of the corpus with one to eight changes.
 * @param {readonly Uint8Array[]} corpus
 * @param {readonly number[]} key of the random numbers, for example seed and round
 */
export function mutated(corpus, key) {
  let counter = 0;
  const below = (n) => (n <= 0 ? 0 : randomBits(...key, counter++) % n);
  let bytes = Buffer.from(corpus[below(corpus.length)]);
  const changes = 1 + below(1 + below(8)); // mostly few: what is changed everywhere fails at once
  for (let i = 0; i < changes; i++) bytes = changed(bytes, corpus, below);
  return bytes;
}

function changed(bytes, corpus, below) {
  const at = below(bytes.length + 1);
  const length = 1 + below(below(4) === 0 ? 1 + bytes.length - at : 16);
  const insert = (chunk, remove = 0) =>
    Buffer.concat([bytes.subarray(0, at), chunk, bytes.subarray(Math.min(bytes.length, at + remove))]);
  const overwrite = (chunk) => insert(chunk, chunk.length);
  switch (below(12)) {
    case 0: // one bit
      return at < bytes.length ? overwrite(Buffer.of(bytes[at] ^ (1 << below(8)))) : bytes;
    case 1:
      return overwrite(Buffer.of(below(256)));
    case 2:
      return insert(Buffer.alloc(0), length);
    case 3:
      return insert(bytes.subarray(at, at + length));
    case 4:
      return insert(Buffer.from(Array.from({ length: Math.min(64, length) }, () => below(256))));
    case 5:
      return bytes.subarray(0, at);
    case 6: {
      const other = corpus[below(corpus.length)];
      const from = below(other.length + 1);
      return insert(other.subarray(from, from + length), below(2) * length);
    }
    case 7:
    case 8: {
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(BigInt(edges[below(edges.length)] + below(3)));
      return overwrite(number.subarray(0, [1, 2, 4, 8][below(4)]));
    }
    case 9: {
      // A number in text becomes another one.
      const numbers = [...bytes.toString("latin1").slice(0, 100_000).matchAll(/-?\d+/g)];
      const { index, 0: digits } = numbers[below(numbers.length)] ?? { index: at, 0: "" };
      const word = below(2) === 0 ? String(edges[below(edges.length)]) : words[below(words.length)];
      return Buffer.concat([bytes.subarray(0, index), Buffer.from(word), bytes.subarray(index + digits.length)]);
    }
    default:
      return insert(Buffer.from(words[below(words.length)]), below(2) * length);
  }
}
