/** Attention over several tiles, against core's reference engine: lengths around a tile's 64 rows, GQA, windows, all flash head sizes. */
import { createReferenceEngine } from "@zerogate/core";
import { type AttentionSize, type Engine, narrow, widen } from "@zerogate/core/engine";
import { afterAll, describe, expect, test, vi } from "vitest";
import { expectClose, single, wave } from "../../../core/test/numeric.ts";
import { absent, fakeEnv } from "../../test/fake.ts";
import { type CudaEngine, createEngine } from "../engine.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

let opened: CudaEngine | undefined;
const open = () => (opened ??= createEngine({ tune: false }));
afterAll(() => opened?.close());

/** What bf16 holds of it, so that only the arithmetic differs. */
function rounded(values: Float64Array): Float32Array {
  const out = new Float32Array(values.length);
  widen("bf16", narrow(single(values), "bf16"), out);
  return out;
}

async function both(engine: Engine, lengths: readonly number[], size: AttentionSize) {
  const { T, H, G, d } = size;
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))]);
  return engine.arena(async () => {
    const qkv_TX = engine.upload(rounded(wave(T * (H + 2 * G) * d, 0.4)));
    const do_TQ = engine.upload(rounded(wave(T * H * d, 2.5)));
    const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, size);
    const back = engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, cuSeqlens, size);
    return { o: await engine.read(o_TQ), back: await engine.read(back) };
  });
}

describe.skipIf(absent !== "")(`flash attention${absent}`, () => {
  test.each([
    { lengths: [130], H: 2, G: 2, d: 64, window: 0 },
    { lengths: [5, 64, 70], H: 4, G: 2, d: 64, window: 0 },
    { lengths: [100], H: 2, G: 1, d: 64, window: 37 },
    { lengths: [150], H: 1, G: 1, d: 64, window: 64 },
    { lengths: [65, 3], H: 2, G: 1, d: 96, window: 0 },
    { lengths: [66], H: 4, G: 1, d: 128, window: 0 },
  ])("lengths $lengths, H=$H G=$G d=$d window=$window", async ({ lengths, ...heads }) => {
    const size = { ...heads, T: lengths.reduce((a, b) => a + b) };
    const ours = await both(open(), lengths, size);
    const reference = await both(createReferenceEngine(), lengths, size);
    // P and dS are rounded to 8 bits before their products: 2e-3 each, in sums that cancel.
    expectClose(ours.o, Float64Array.from(reference.o), 5e-3, "o");
    expectClose(ours.back, Float64Array.from(reference.back), 1e-2, "dqkv");
  });

  test("a packed sequence has the bits that it has alone", async () => {
    const size = { H: 2, G: 1, d: 64, window: 0 };
    const [first, second] = [40, 70];
    const engine = open();
    const X = 4 * 64;
    const qkv = rounded(wave((first + second) * X, 0.7));
    const attend = (values: Float32Array, cuSeqlens: Int32Array) =>
      engine.arena(async () => {
        const { o_TQ } = engine.attention(engine.upload(values), cuSeqlens, { ...size, T: values.length / X });
        return engine.read(o_TQ);
      });
    const packed = await attend(qkv, Int32Array.of(0, first, first + second));
    const alone = await attend(qkv.slice(first * X), Int32Array.of(0, second));
    expect(packed.subarray(first * 2 * 64)).toEqual(alone);
  });
});
