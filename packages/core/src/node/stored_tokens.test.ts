import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { packCell, type TokenSet } from "../cell/tokens.ts";
import { packSamples, readSamples, type StoredTokens, sampleBlocks } from "./stored_tokens.ts";

const FRONT = 7;

/** The same samples in memory and in a file, which begins with something else. */
function both(lengths: readonly number[]): { memory: TokenSet; stored: StoredTokens } {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-stored-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const offsets = new Float64Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) offsets[i + 1] = offsets[i] + length;
  const count = offsets[lengths.length];
  const ids = Int32Array.from({ length: count }, (_, t) => 1000 + t);
  const target = Uint8Array.from({ length: count }, (_, t) => Number((t * 7) % 3 > 0));
  const labelled = Int32Array.from(lengths, (length, i) =>
    target.subarray(offsets[i] + 1, offsets[i] + length).reduce((sum, one) => sum + one, 0),
  );
  const path = join(folder, "tokens");
  writeFileSync(path, Buffer.concat([Buffer.alloc(FRONT, 9), Buffer.from(ids.buffer), target]));
  const memory = { ids, target, offsets, hash: "tokens" };
  const place = { path, idsAt: FRONT, targetAt: FRONT + 4 * count };
  return { memory, stored: { ...place, offsets, labelled, hash: "tokens" } };
}

test("samples in any order, also twice, are packed from a file as from memory [D-large-bits]", () => {
  const sets = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(sets, fc.array(fc.nat(), { maxLength: 14 }), (lengths, picks) => {
      const { memory, stored } = both(lengths);
      const samples = picks.map((pick) => pick % lengths.length);
      expect(packSamples(stored, samples)).toEqual(packCell(memory, samples));
      expect(packSamples(memory, samples)).toEqual(packCell(memory, samples));
    }),
    { numRuns: 50 },
  );
});

test("blocks hold all samples once, in order, and none is larger than it need be [D-large-memory]", () => {
  const { memory, stored } = both([100_000, 150_000, 20_000, 300_000, 1, 5]);
  const blocks = [...sampleBlocks(stored)];
  expect(blocks.map(({ first, tokens }) => [first, tokens.offsets.length - 1])).toEqual([
    [0, 2],
    [2, 1],
    [3, 1],
    [4, 2],
  ]);
  const ids = blocks.flatMap(({ tokens }) => [...tokens.ids]);
  expect(ids.length === memory.ids.length && ids.every((id, t) => id === memory.ids[t])).toBe(true);
  expect([...sampleBlocks(memory)]).toEqual([{ first: 0, tokens: memory }]);
});

test("a file that changes while it is used is named, and a sample that is not there", () => {
  const { stored } = both([4, 4]);
  const bytes = readFileSync(stored.path);
  expect(() => readSamples(stored, [2])).toThrow("Cannot use sample 2: the set has 2 samples");
  writeFileSync(stored.path, bytes.with(stored.targetAt + 5, 1 - (bytes[stored.targetAt + 5] ?? 0)));
  expect(() => readSamples(stored, [1])).toThrow(
    `Cannot use ${stored.path}: sample 1 has other targets than when it was opened: a token cache must stay as it is`,
  );
  truncateSync(stored.path, bytes.length - 1);
  expect(() => readSamples(stored, [1])).toThrow(`it ends at byte ${bytes.length - 1}: a token cache`);
  rmSync(stored.path);
  expect(() => readSamples(stored, [0])).toThrow(`Cannot read ${stored.path}`);
});
