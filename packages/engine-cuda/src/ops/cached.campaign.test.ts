/** Attention of few queries over many cached keys: split over its keys or not, alone or beside others, it has the same bits. */
import { createReferenceEngine } from "@zerogate/core";
import { afterAll, describe, expect, test } from "vitest";
import { expectClose } from "../../../core/test/numeric.ts";
import { close, decoded, open } from "../../test/cached_texts.ts";
import { absent, onRealGpu } from "../../test/fake.ts";

afterAll(close);

const unable = onRealGpu ? " (skipped: only the emulator has GPUs of any size)" : absent;

describe.skipIf(unable !== "")(`attention over many cached keys${unable}`, () => {
  test.each([
    { past: [700, 30, 255, 256, 257], window: 0 },
    { past: [700, 511], window: 300 },
    { past: [600], window: 0, cap: 0.7 },
  ])("past $past, window $window, cap $cap", async ({ past, window, cap }) => {
    const split = await decoded(open("132"), past, window, cap);
    const right = await decoded(createReferenceEngine(), past, window, cap);
    expectClose(split, Float64Array.from(right), 2e-5, "o");
    expect(await decoded(open("0"), past, window, cap)).toEqual(split);
  });

  test("a text has the bits that it has alone", async () => {
    const all = [700, 30, 300];
    const together = await decoded(open("132"), all, 0);
    for (const [s, past] of all.entries()) {
      expect(together.subarray(s * 24, (s + 1) * 24)).toEqual(await decoded(open("132"), [past], 0));
    }
  });
});
