/**
 * Attention of few queries over many cached keys: split over its keys or not, alone or beside others, it has the same bits. More
 * caches: cached.campaign.test.ts.
 */
import { createReferenceEngine } from "@zerogate/core";
import { afterAll, describe, expect, test, vi } from "vitest";
import { expectClose } from "../../../core/test/numeric.ts";
import { close, decoded, open } from "../../test/cached_texts.ts";
import { absent, onRealGpu } from "../../test/fake.ts";

afterAll(close);

const unable = onRealGpu ? " (skipped: only the emulator has GPUs of any size)" : absent;

describe.skipIf(unable !== "")(`attention over many cached keys${unable}`, () => {
  test("past 700 tokens: the numbers of the reference engine, and the bits of attention that is not split", async () => {
    const split = await decoded(open("132"), [700], 0);
    const right = await decoded(createReferenceEngine(), [700], 0);
    expectClose(split, Float64Array.from(right), 2e-5, "o");
    expect(await decoded(open("0"), [700], 0)).toEqual(split);
  });

  test("only few queries are split", async () => {
    vi.stubEnv("EMU_FAIL", "attend_parts:1");
    await expect(decoded(open("132"), [300], 0)).rejects.toThrow("attend_parts");
    await expect(decoded(open("0"), [300], 0)).resolves.toHaveLength(24);
    vi.stubEnv("EMU_FAIL", "");
  });
});
