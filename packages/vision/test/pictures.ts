/** Image files that tests make themselves. */
import sharp, { type Sharp } from "sharp";

/** Bytes that a generator gives. */
export function noiseBytes(length: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    }),
  );
}

/** An image of noise, still to be encoded. */
export const picture = (width: number, height: number, channels: 1 | 2 | 3 | 4 = 3, seed = 1): Sharp =>
  sharp(noiseBytes(width * height * channels, seed), { raw: { width, height, channels } });

/** Chunks of a PNG: length, name, data, checksum. */
export function pngChunks(file: Buffer): { readonly name: string; readonly bytes: Buffer }[] {
  const chunks: { name: string; bytes: Buffer }[] = [];
  for (let at = 8; at < file.length; ) {
    const end = at + 12 + file.readUInt32BE(at);
    chunks.push({ name: file.toString("latin1", at + 4, at + 8), bytes: file.subarray(at, end) });
    at = end;
  }
  return chunks;
}
