import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { zstdOf, zstdZeros } from "../../../test/zstd_frames.ts";
import { type ByteSource, openByteSource } from "../byte_source.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-fold-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let files = 0;
const sourceOf = (content: Uint8Array): Promise<ByteSource> => {
  const path = join(scratch, `${files++}`);
  writeFileSync(path, content);
  return openByteSource(path);
};
async function bytesOf(source: ByteSource): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of source.read()) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const text = Buffer.from(Array.from({ length: 30_000 }, (_, i) => `line ${i} ${(i * 7919) % 1000}\n`).join(""));

describe("compressed files unfold [D-file-gzip, D-file-zstd]", () => {
  test.each([
    ["gzip", gzipSync(text), text],
    ["gzip in two members", Buffer.concat([gzipSync(text), gzipSync(text)]), Buffer.concat([text, text])],
    ["gzip with zeros behind it, as on tapes", Buffer.concat([gzipSync(text), Buffer.alloc(512)]), text],
    ["Zstandard", zstdOf(text), text],
    ["Zstandard in two frames", Buffer.concat([zstdOf(text), zstdOf(text)]), Buffer.concat([text, text])],
    ["an empty frame", zstdOf(Buffer.alloc(0)), Buffer.alloc(0)],
  ])("%s", async (_, folded, unfolded) => {
    const source = await sourceOf(folded);
    expect(source.head).toEqual(unfolded.subarray(0, 4096));
    expect((await bytesOf(source)).equals(unfolded)).toBe(true);
    expect((await bytesOf(source)).equals(unfolded)).toBe(true);
    expect((await source.identify()).bytes).toBe(folded.length);
  });
});

describe("what is damaged or too much is refused [D-file-gzip, D-file-zstd, D-file-bombs]", () => {
  const readAll = async (content: Uint8Array) => bytesOf(await sourceOf(content));
  const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

  test.each([
    ["gzip, cut off", gzipSync(text).subarray(0, -9), "its gzip is damaged or cut off"],
    ["gzip, one bit", flipped(gzipSync(text), 20_000), "its gzip is damaged or cut off"],
    ["gzip, its checksum", flipped(gzipSync(text), gzipSync(text).length - 6), "its gzip is damaged or cut off"],
    ["gzip, something behind it", Buffer.concat([gzipSync(text), Buffer.from("junk")]), "its gzip is damaged"],
    ["Zstandard, cut off", zstdOf(text).subarray(0, -9), "its Zstandard is damaged, cut off"],
    ["Zstandard, its checksum", flipped(zstdOf(text), zstdOf(text).length - 1), "its Zstandard is damaged"],
    ["Zstandard, one bit", flipped(zstdOf(text), 20_000), "its Zstandard is damaged"],
    ["Zstandard, something behind it", Buffer.concat([zstdOf(text), Buffer.from("junk")]), "its Zstandard is damaged"],
    ["a window of 2 GB", Buffer.from("28b52ffd00a801000078", "hex"), "its Zstandard is damaged, cut off or needs more"],
  ])("%s", async (_, content, message) => {
    await expect(readAll(content)).rejects.toThrow(message);
  });

  test("zeros without end: 64 MiB are unfolded of a small file, a hundred times a larger one", async () => {
    const zeros = gzipSync(Buffer.alloc(80 * 2 ** 20));
    await expect(readAll(zeros)).rejects.toThrow(
      "of gzip become more than 67.1 MB, at most 100 times its size are read",
    );
    expect(await readAll(gzipSync(Buffer.alloc(60 * 2 ** 20)))).toHaveLength(60 * 2 ** 20);
    await expect(readAll(zstdZeros(80 * 2 ** 20))).rejects.toThrow("of zstd become more than 67.1 MB");
  });

  test("of many opened ends of a file no memory is left behind", async () => {
    const source = await sourceOf(zstdZeros(60 * 2 ** 20));
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 40; i++) for await (const _ of source.read()) break;
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20);
  });
});
