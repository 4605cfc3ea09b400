import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { allocateTokens, bytesOf, faultOf, hashTokens, joinChunks, measureSamples, tokenStats } from "./token_set.ts";

const uncut = { longest: 0, keeping: [] };
const chunk = (samples: readonly (readonly number[])[], targets: readonly number[]) => ({
  ids: Int32Array.from(samples.flat()),
  target: Uint8Array.from(targets),
  lengths: Int32Array.from(samples, ({ length }) => length),
  wholeLengths: new Int32Array(samples.length),
  neededLengths: new Int32Array(samples.length),
  truncated: 0,
  droppedNoTarget: 0,
});
const joined = joinChunks([chunk([[5, 6, 7], [], [8, 9]], [0, 1, 1, 0, 1]), chunk([[], [1, 2, 3, 4]], [0, 0, 0, 1])]);

test("chunks are joined in order, dropped records left out, and every sample knows its record", () => {
  const { tokens, recordOf } = joined;
  expect([...tokens.ids]).toEqual([5, 6, 7, 8, 9, 1, 2, 3, 4]);
  expect([...tokens.target]).toEqual([0, 1, 1, 0, 1, 0, 0, 0, 1]);
  expect([...tokens.offsets]).toEqual([0, 3, 5, 9]);
  expect([...recordOf]).toEqual([0, 2, 4]);
  for (const array of [tokens.ids, tokens.target, tokens.offsets])
    expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(tokens.hash).toBe(hashTokens(tokens));
});

test("of nothing there is an empty set", () => {
  const { tokens, recordOf } = joinChunks([]);
  expect([tokens.ids.length, [...tokens.offsets], recordOf.length]).toEqual([0, [0], 0]);
  expect(tokenStats(tokens, { truncated: 0, droppedNoTarget: 0, uncut })).toMatchObject({
    samples: 0,
    longest: 0,
    meanLength: 0,
  });
});

test("memory is exactly as large as its arrays", () => {
  const { ids, target, offsets } = allocateTokens(3, 2);
  expect([ids.length, target.length, offsets.length]).toEqual([3, 3, 3]);
  expect([ids, target, offsets].map(({ buffer }) => buffer.byteLength)).toEqual([12, 3, 24]);
});

test("samples are measured: their lengths, and their targets, never the first token", () => {
  const { lengths, labelled } = measureSamples(joined.tokens);
  expect([[...lengths], [...labelled]]).toEqual([
    [3, 2, 4],
    [2, 1, 1],
  ]);
  const all = { ...joined.tokens, target: new Uint8Array(9).fill(1) };
  expect([...measureSamples(all).labelled]).toEqual([2, 1, 3]);
});

test("statistics count samples, tokens, targets, the longest and the mean", () => {
  expect(tokenStats(joined.tokens, { truncated: 7, droppedNoTarget: 2, uncut })).toEqual({
    samples: 3,
    tokens: 9,
    labelled: 4,
    truncated: 7,
    droppedNoTarget: 2,
    longest: 4,
    meanLength: 3,
    uncut,
  });
});

test("the hash is SHA-256 of both counts and the bytes, as any tool computes it", () => {
  const { ids, target, offsets } = joined.tokens;
  const hash = createHash("sha256").update("tokens 9 samples 3\n");
  for (const array of [ids, target, offsets]) hash.update(Buffer.from(array.buffer));
  expect(joined.tokens.hash).toBe(hash.digest("hex"));
});

test("bytes are those of the array, not of all the memory it lies in", () => {
  const part = Int32Array.from([1, 2, 3]).subarray(1, 2);
  expect([...bytesOf(part)]).toEqual([2, 0, 0, 0]);
});

describe("what no tokenising gives", () => {
  const of = (
    change: (set: { ids: Int32Array; target: Uint8Array; offsets: Float64Array; recordOf: Int32Array }) => void,
  ) => {
    const { tokens } = joined;
    const copy = {
      ids: tokens.ids.slice(),
      target: tokens.target.slice(),
      offsets: tokens.offsets.slice(),
      recordOf: joined.recordOf.slice(),
    };
    change(copy);
    return faultOf(copy, copy.recordOf);
  };

  test("is described in words, at its first sample", () => {
    expect(of(() => {})).toBeUndefined();
    expect(of(({ ids }) => void (ids[4] = -1))).toBe("it holds a token id below 0");
    expect(of(({ ids }) => void (ids[4] = 0))).toBeUndefined();
    expect(of(({ target }) => void (target[4] = 2))).toBe("it holds a target other than 0 and 1");
    expect(of(({ offsets }) => void (offsets[0] = 1))).toBe("its samples do not span its tokens");
    expect(of(({ offsets }) => void (offsets[3] = 8))).toBe("its samples do not span its tokens");
    expect(of(({ offsets }) => void (offsets[2] = 3))).toBe("its sample 1 ends before it begins");
    expect(of(({ offsets }) => void (offsets[2] = 2))).toBe("its sample 1 ends before it begins");
    expect(of(({ offsets }) => void (offsets[1] = 2.5))).toBe("its sample 0 ends before it begins");
    expect(of(({ target }) => target.fill(0, 3, 5))).toBe("its sample 1 has no target");
    expect(of(({ target }) => target.set([1, 0], 3))).toBe("its sample 1 has no target"); // the first token is never one
    expect(of(({ target }) => target.set([0, 0, 1], 0))).toBeUndefined();
    expect(of(({ recordOf }) => void (recordOf[1] = 0))).toBe("its records are out of order");
    expect(of(({ recordOf }) => void (recordOf[0] = -1))).toBe("its records are out of order");
  });
});
