/** Zstandard frames for tests, which no library of ours writes: blocks as they are or of one byte repeated, with a checksum. */

const MAX_BLOCK = 2 ** 17;

/** A frame whose blocks hold the bytes as they are. */
export function zstdOf(bytes: Uint8Array): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += MAX_BLOCK) {
    const part = bytes.subarray(at, at + MAX_BLOCK);
    blocks.push(blockHeader(part.length, 0, at + MAX_BLOCK >= bytes.length), Buffer.from(part));
  }
  return frame(blocks, xxh64(bytes));
}

/** A frame of zeros: four bytes for each 128 KiB, without a checksum. */
export function zstdZeros(length: number): Buffer {
  const count = Math.ceil(length / MAX_BLOCK);
  const blocks = Array.from({ length: count }, (_, i) =>
    Buffer.concat([blockHeader(Math.min(MAX_BLOCK, length - i * MAX_BLOCK), 1, i === count - 1), Buffer.of(0)]),
  );
  return frame(blocks, undefined);
}

/** With a window of 128 KiB. */
function frame(blocks: readonly Buffer[], checksum: bigint | undefined): Buffer {
  const end = Buffer.alloc(checksum === undefined ? 0 : 4);
  if (checksum !== undefined) end.writeUInt32LE(Number(checksum & 0xffff_ffffn));
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, checksum === undefined ? 0 : 4, 7 << 3]);
  return Buffer.concat([head, ...blocks, end]);
}

function blockHeader(size: number, type: number, isLast: boolean): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (type << 1) | Number(isLast), 0, 3);
  return header;
}

const mask = (1n << 64n) - 1n;
const [P1, P2, P3, P4, P5] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
] as const;
const rotated = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & mask;
const round = (sum: bigint, input: bigint): bigint => (rotated((sum + input * P2) & mask, 31n) * P1) & mask;

/** XXH64 with seed 0. */
function xxh64(bytes: Uint8Array): bigint {
  const data = Buffer.from(bytes);
  let at = 0;
  let sum: bigint = P5;
  if (data.length >= 32) {
    let sums = [(P1 + P2) & mask, P2, 0n, (mask + 1n - P1) & mask];
    for (; at + 32 <= data.length; at += 32) sums = sums.map((one, i) => round(one, data.readBigUInt64LE(at + 8 * i)));
    const turns = [1n, 7n, 12n, 18n];
    sum = sums.reduce((total, one, i) => (total + rotated(one, turns[i] ?? 0n)) & mask, 0n);
    for (const one of sums) sum = ((sum ^ round(0n, one)) * P1 + P4) & mask;
  }
  sum = (sum + BigInt(data.length)) & mask;
  for (; at + 8 <= data.length; at += 8)
    sum = (rotated(sum ^ round(0n, data.readBigUInt64LE(at)), 27n) * P1 + P4) & mask;
  for (; at + 4 <= data.length; at += 4)
    sum = (rotated(sum ^ ((BigInt(data.readUInt32LE(at)) * P1) & mask), 23n) * P2 + P3) & mask;
  for (; at < data.length; at++) sum = (rotated(sum ^ ((BigInt(data[at] ?? 0) * P5) & mask), 11n) * P1) & mask;
  sum = ((sum ^ (sum >> 33n)) * P2) & mask;
  sum = ((sum ^ (sum >> 29n)) * P3) & mask;
  return sum ^ (sum >> 32n);
}
