/**
 * The one suite that every engine passes: each operation, forward against `oracle.ts` in float64 and backward against its
 * finite differences, over odd sizes, GQA 1/2/4/8, head dimensions 32/64/128, one-token sequences, zero gates, windows.
 */
import { describe, expect, test } from "vitest";
import type { AttentionSize, DeviceArray, Engine, PromptSet } from "../src/engine/engine.ts";
import { describeDelta } from "./delta_conformance.ts";
import { describeFlat } from "./flat.ts";
import { expectClose, expectGradient, expectSameBits, single, wave } from "./numeric.ts";
import * as oracle from "./oracle.ts";

const sum = (a: Float64Array, b: Float64Array) => a.map((x, i) => x + b[i]);
const f32 = (values: Float64Array, shape: readonly number[]) => ({
  dtype: "f32" as const,
  shape,
  bytes: new Uint8Array(single(values).buffer),
});

/**
 * @param tolerance largest error of one operation relative to its largest output: 2e-6 for float32 arithmetic.
 * @param options.cached the same of attention over a cache against attention over the whole sequence; 0: the same bits.
 */
export function describeEngine(
  name: string,
  open: () => Engine | Promise<Engine>,
  tolerance: number,
  { cached = 0 }: { cached?: number } = {},
): void {
  const run = async (work: (engine: Engine) => Promise<void>) => {
    const engine = await open();
    await engine.arena(() => work(engine));
  };

  describe(`engine ${name}`, () => {
    for (const [T, N, K] of [
      [1, 1, 1],
      [1, 7, 5],
      [3, 4, 9],
      [4, 8, 16],
      [5, 13, 31],
      [33, 20, 12],
    ] as const) {
      test(`linear T=${T} N=${N} K=${K}: forward, bias, residual, row range, backward`, () =>
        run(async (engine) => {
          const [x, w, bias, residual] = [wave(T * K, 0.1), wave(N * K, 0.7), wave(N, 1.3), wave(T * N, 2.1)];
          const W = engine.matrix(f32(w, [N, K]));
          const B = engine.matrix(f32(bias, [N]));
          const X = engine.upload(single(x));
          const plain = oracle.linear(x, w, { T, N, K });
          expectClose(await engine.read(engine.linear(X, W, { T })), plain, tolerance, "y");
          const full = engine.linear(X, W, { T, bias: B, residual: engine.upload(single(residual)) });
          const expected = sum(
            sum(
              plain,
              Float64Array.from(plain, (_, i) => bias[i % N]),
            ),
            residual,
          );
          expectClose(await engine.read(full), expected, tolerance, "y + bias + residual");

          const from = Math.floor(N / 2);
          const rows = [from, N] as const;
          const part = engine.linear(X, W, { T, rows, bias: B });
          const some = Float64Array.from({ length: T * (N - from) }, (_, i) => {
            const n = from + (i % (N - from));
            return plain[Math.floor(i / (N - from)) * N + n] + bias[n];
          });
          expectClose(await engine.read(part), some, tolerance, "rows of y");

          const dy = wave(T * N, 0.9);
          const dx = await engine.read(engine.linearBackward(engine.upload(single(dy)), W, { T }));
          expectGradient((at) => oracle.linear(at, w, { T, N, K }), x, dy, dx, tolerance, "linear");
          const past = wave(T * K, 1.1);
          const passed = engine.linearBackward(engine.upload(single(dy)), W, {
            T,
            residual: engine.upload(single(past)),
          });
          expectClose(await engine.read(passed), sum(Float64Array.from(dx), past), tolerance, "dx + residual");
          const dyPart = wave(T * (N - from), 2.7);
          const dxPart = await engine.read(engine.linearBackward(engine.upload(single(dyPart)), W, { T, rows }));
          const lower = (at: Float64Array) => oracle.linear(at, w.subarray(from * K), { T, N: N - from, K });
          expectGradient(lower, x, dyPart, dxPart, tolerance, "linear over rows");
        }));
    }

    test.each([
      [[0, 2, 2, 7], 4, 9],
      [[0, 0, 1], 3, 5],
      [[0, 33, 40, 41, 41], 20, 12],
      [[0, 0, 0], 2, 2],
    ])("groupedLinear bounds=%j N=%i K=%i: forward, backward, rows in any group", (bounds, N, K) =>
      run(async (engine) => {
        const { groupedLinear, groupedLinearBackward } = engine;
        if (!groupedLinear || !groupedLinearBackward) return;
        const [groups, P] = [bounds.length - 1, bounds[bounds.length - 1]];
        const [x, w, dy] = [wave(P * K, 0.1), wave(groups * N * K, 0.7), wave(P * N, 0.9)];
        const W = engine.matrix(f32(w, [groups * N, K]));
        const groupOf = (row: number) => bounds.findIndex((_, g) => row < bounds[g + 1]);
        const forward = (at: Float64Array) =>
          Float64Array.from({ length: P * N }, (_, i) => {
            const [row, n] = [Math.floor(i / N), i % N];
            const own = w.subarray((groupOf(row) * N + n) * K, (groupOf(row) * N + n + 1) * K);
            return own.reduce((total, value, k) => total + value * at[row * K + k], 0);
          });
        const y = await engine.read(groupedLinear(engine.upload(single(x)), W, Int32Array.from(bounds)));
        expectClose(y, forward(x), tolerance, "y");
        const dx = await engine.read(groupedLinearBackward(engine.upload(single(dy)), W, Int32Array.from(bounds)));
        expectGradient(forward, x, dy, dx, tolerance, "groupedLinear");
        expect(() => groupedLinear(engine.upload(single(x)), W, new Int32Array(groups * N + 2))).toThrow(
          "Cannot run groupedLinear: bounds of",
        );
        expect(() => groupedLinear(engine.upload(single(x)), W, Int32Array.of(0, 2, 1))).toThrow("ascend from 0");
      }),
    );

    test("readNow gives the numbers of read, of what was enqueued just before", () =>
      run(async (engine) => {
        if (!engine.readNow) return;
        const x = engine.upload(single(wave(12, 0.4)));
        const y = engine.addScaled(x, x, { T: 3, D: 4, factor: 1 });
        expect(engine.readNow(y)).toEqual(await engine.read(y));
      }));

    describeFlat(run, tolerance);
    describeDelta(run, tolerance, cached);

    test("embed, gatherRows and scatterRows move whole rows, and refuse ids outside the table", () =>
      run(async (engine) => {
        const table = wave(6 * 5, 0.2);
        const matrix = engine.matrix(f32(table, [6, 5]));
        const x = engine.embed(matrix, Int32Array.of(4, 0, 4));
        const rows = (source: Float64Array, ids: number[]) =>
          Float64Array.from(ids.flatMap((id) => (id < 0 ? [0, 0, 0, 0, 0] : [...source.subarray(id * 5, id * 5 + 5)])));
        expectClose(await engine.read(x), rows(table, [4, 0, 4]), 0, "embed");
        const past = wave(15, 1.7);
        const residual = engine.upload(single(past));
        const scaled = engine.embed(matrix, Int32Array.of(4, 0, 4), { scale: 3.25, residual });
        const expected = sum(
          rows(table, [4, 0, 4]).map((v) => 3.25 * v),
          past,
        );
        expectClose(await engine.read(scaled), expected, tolerance, "3.25 · embed + residual");
        const some = engine.gatherRows(x, Int32Array.of(1, 2), { T: 3, D: 5 });
        expectClose(await engine.read(some), rows(table, [0, 4]), 0, "gatherRows");
        const back = engine.scatterRows(some, Int32Array.of(1, 3), { T: 5, D: 5 });
        expectClose(await engine.read(back), rows(table, [-1, 0, -1, 4, -1]), 0, "scatterRows");
        expect(() => engine.embed(matrix, Int32Array.of(6))).toThrow("Cannot embed token 6");
      }));

    test.each([3, 37, 300])("scatterRows sums rows that repeat, rows of %i numbers", (D) =>
      run(async (engine) => {
        const [T, into] = [4, Int32Array.of(2, 0, 2, 3, 2, 0)];
        const dy = wave(into.length * D, 0.6);
        const dx = new Float64Array(T * D);
        for (const [i, value] of dy.entries()) dx[into[Math.floor(i / D)] * D + (i % D)] += value;
        const made = await engine.read(engine.scatterRows(engine.upload(single(dy)), into, { T, D }));
        expectClose(made, dx, tolerance, "scatterRows");
      }),
    );

    test.each([
      [1, 3, 5, undefined],
      [3, 4, 7, undefined],
      [130, 6, 11, undefined],
      [1, 3, 5, 0.75],
      [130, 6, 37, 1.5],
    ])("headLoss R=%i D=%i V=%i cap=%s: loss in nats and its scaled gradient", (R, D, V, cap) =>
      run(async (engine) => {
        const [y, w] = [wave(R * D, 0.3), wave(V * D, 1.9)];
        const labels = Int32Array.from({ length: R }, (_, r) => (3 * r + 1) % V);
        const head = engine.matrix(f32(w, [V, D]));
        const y_RD = engine.upload(single(y));
        const forward = (at: Float64Array) => oracle.headLoss(at, w, labels, { R, D, V, cap });
        const only = engine.headLoss(y_RD, head, labels, { R, D, cap });
        expectClose(await engine.read(only.nll_R), forward(y), tolerance, "nll");
        expect(Array.from(await engine.read(only.hit_R)), "hit").toEqual(
          Array.from(labels, (label, r) => {
            const z = oracle.linear(y.subarray(r * D, (r + 1) * D), w, { T: 1, N: V, K: D });
            return z.indexOf(Math.max(...z)) === label ? 1 : 0;
          }),
        );
        expect(only.dy_RD).toBeUndefined();
        const { nll_R, dy_RD } = engine.headLoss(y_RD, head, labels, { R, D, cap, cells: [{ R, scale: 0.25 }] });
        expectClose(await engine.read(nll_R), forward(y), tolerance, "nll");
        const dy = new Float64Array(R).fill(0.25);
        expectGradient(forward, y, dy, await engine.read(dy_RD as DeviceArray), 2 * tolerance, "headLoss");
        expect(() => engine.headLoss(y_RD, head, labels.fill(V), { R, D })).toThrow(`Cannot score label ${V}`);
      }),
    );

    const packings: readonly (readonly number[])[] = [[1], [5], [1, 3, 1], [2, 6]];
    const shapes: readonly Omit<AttentionSize, "T">[] = [
      { H: 1, G: 1, d: 2, window: 0 },
      { H: 3, G: 3, d: 6, window: 0 },
      { H: 4, G: 2, d: 10, window: 3 },
      { H: 4, G: 1, d: 32, window: 0 },
      { H: 8, G: 1, d: 64, window: 0 },
      { H: 2, G: 1, d: 128, window: 2 },
      { H: 4, G: 2, d: 10, window: 3, cap: 0.75 },
      { H: 2, G: 1, d: 64, window: 0, cap: 1.5 },
    ];
    for (const shape of shapes) {
      for (const lengths of packings) {
        const T = lengths.reduce((a, b) => a + b, 0);
        const size: AttentionSize = { T, ...shape };
        const { H, G, d } = shape;
        const title = `H=${H} G=${G} d=${d} window=${shape.window}${shape.cap ? ` cap=${shape.cap}` : ""} sequences of ${lengths.join(", ")}`;
        const cuSeqlens = Int32Array.from([
          0,
          ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b)),
        ]);
        const X = (H + 2 * G) * d;

        test(`attention ${title}: forward, backward, cached in pieces`, () =>
          run(async (engine) => {
            const [qkv, dO] = [wave(T * X, 0.4), wave(T * H * d, 2.5)];
            const qkv_TX = engine.upload(single(qkv));
            const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, size);
            expectClose(await engine.read(o_TQ), oracle.attention(qkv, cuSeqlens, size), tolerance, "o");
            const input = { do_TQ: engine.upload(single(dO)), qkv_TX, o_TQ, lse_TH };
            const dqkv = await engine.read(engine.attentionBackward(input, cuSeqlens, size));
            const forward = (at: Float64Array) => oracle.attention(at, cuSeqlens, size);
            expectGradient(forward, qkv, dO, dqkv, 4 * tolerance, "attention");
            await expectCachedEqual(engine, single(qkv), await engine.read(o_TQ), lengths, size, cached);
          }));

        test(`attention ${title}: tokens whose queries are skipped are still keys and values`, () =>
          run(async (engine) => {
            const skips_S = Int32Array.from(lengths, (length, s) => Math.min(length, s % 2 === 0 ? length >> 1 : 0));
            const isSkipped = (t: number) => lengths.some((_, s) => t >= cuSeqlens[s] && t < cuSeqlens[s] + skips_S[s]);
            const kept = <Of extends Float32Array | Float64Array>(of: Of, width: number) =>
              of.map((x, i) => (isSkipped(Math.floor(i / width)) ? 0 : x)) as Of;
            const Q = H * d;
            const qkv = wave(T * X, 0.4);
            const dO = kept(wave(T * Q, 2.5), Q);
            const [qkv_TX, do_TQ] = [engine.upload(single(qkv)), engine.upload(single(dO))];
            const skipping = { ...size, skips_S };
            const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, skipping);
            const o = await engine.read(o_TQ);
            expectClose(kept(o, Q), kept(oracle.attention(qkv, cuSeqlens, size), Q), tolerance, "o");
            const finite_TQ = engine.upload(kept(o, Q)); // what is skipped may hold anything
            const input = { do_TQ, qkv_TX, o_TQ: finite_TQ, lse_TH };
            const dqkv = await engine.read(engine.attentionBackward(input, cuSeqlens, skipping));
            const forward = (at: Float64Array) => oracle.attention(at, cuSeqlens, size);
            expectGradient(forward, qkv, dO, dqkv, 4 * tolerance, "attention");
          }));

        test(`attention ${title}: without a mask every token sees its whole sequence`, () =>
          run(async (engine) => {
            const qkv = wave(T * X, 0.4);
            const unmasked = { ...size, causal: false };
            const { o_TQ, lse_TH } = engine.attention(engine.upload(single(qkv)), cuSeqlens, unmasked);
            expectClose(await engine.read(o_TQ), oracle.attention(qkv, cuSeqlens, unmasked), tolerance, "o");
            expect(lse_TH).toHaveLength(T * H);
          }));

        test(`rope ${title}: rotation and its inverse; values stay`, () =>
          run(async (engine) => {
            const qkv = wave(T * X, 0.9);
            const cosSin = Float64Array.from({ length: T * d }, (_, i) => {
              const angle = Math.floor(i / d) * 0.7 + (i % (d / 2)) * 0.3;
              return Math.fround(i % d < d / 2 ? Math.cos(angle) : Math.sin(angle));
            });
            const [x, angles] = [engine.upload(single(qkv)), engine.upload(single(cosSin))];
            engine.rope(x, angles, size);
            expectClose(await engine.read(x), oracle.rope(qkv, cosSin, size), tolerance, "rope");
            engine.rope(x, angles, { ...size, inverse: true });
            expectClose(await engine.read(x), qkv, 2 * tolerance, "rope and back");
          }));

        test(`promptAttention ${title}: forward, zero gates keep every bit, backward`, () =>
          run(async (engine) => {
            const K = 1 + (T % 4);
            const [o, qkv, kv] = [wave(T * H * d, 1.4), wave(T * X, 0.2), wave(K * 2 * G * d, 2.8)];
            const gate = wave(H, 0.6);
            const dO = wave(T * H * d, 3.1);
            const [o_TQ, qkv_TX, kv_KY] = [o, qkv, kv].map((values) => engine.upload(single(values))) as [
              DeviceArray,
              DeviceArray,
              DeviceArray,
            ];
            const set: PromptSet = { kv_RY: kv_KY, rows: [0, K], tokens: [0, T], gate_H: single(gate) };
            const add = (sets: readonly PromptSet[]) =>
              engine.read(engine.promptAttention(o_TQ, { qkv_TX, sets }, size));
            const y = await add([set]);
            expectClose(y, oracle.promptAttention({ o, qkv, kv, gate }, { ...size, K }), tolerance, "y");
            const base = await add([{ ...set, gate_H: new Float32Array(H) }]);
            expect(new Uint32Array(base.buffer)).toEqual(new Uint32Array(single(o).buffer));

            for (const [from, to] of [
              [0, 1],
              [T - 1, T],
              [T >> 1, T],
              [1, 1],
            ] as const) {
              const part = await add([{ ...set, tokens: [from, to] }]);
              const expected = single(o);
              expected.set(y.subarray(from * H * d, to * H * d), from * H * d);
              expect(new Uint32Array(part.buffer), `tokens ${from} to ${to}`).toEqual(new Uint32Array(expected.buffer));
            }

            const before = wave(T * X, 0.5);
            const dqkv_TX = engine.upload(single(before));
            const input = { do_TQ: engine.upload(single(dO)), qkv_TX, sets: [set], dqkv_TX };
            const [back] = engine.promptAttentionBackward(input, size);
            const added = (await engine.read(dqkv_TX)).map((g, i) => g - before[i]);
            const of = (change: object) => oracle.promptAttention({ o, qkv, kv, gate, ...change }, { ...size, K });
            expectGradient((at) => of({ qkv: at }), qkv, dO, added, 8 * tolerance, "prompt attention, q");
            expectGradient((at) => of({ kv: at }), kv, dO, await engine.read(back.dkv_KY), 4 * tolerance, "kv");
            expectGradient((at) => of({ gate: at }), gate, dO, await engine.read(back.dgate_H), 4 * tolerance, "gate");
          }));
      }
    }

    test.each([
      [4, 12, [65, 1, 17]],
      [2, 72, [50, 50]],
      [3, 64, [197]],
      [1, 5, [130, 64]],
    ] as const)("attention without a mask, %i heads of %i, images of %s tokens", (H, d, lengths) =>
      run(async (engine) => {
        const T = lengths.reduce<number>((a, b) => a + b, 0);
        const cuSeqlens = Int32Array.from([
          0,
          ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce<number>((a, b) => a + b, 0)),
        ]);
        const size = { T, H, G: H, d, window: 0, causal: false };
        const qkv = wave(T * 3 * H * d, 0.8);
        const { o_TQ } = engine.attention(engine.upload(single(qkv)), cuSeqlens, size);
        expectClose(await engine.read(o_TQ), oracle.attention(qkv, cuSeqlens, size), tolerance, "o");
      }),
    );

    test.each(["geluErf", "geluQuick"] as const)("%s is right in both tails", (unit) =>
      run(async (engine) => {
        const given = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 160);
        given.set([1e30, -1e30, 1e-30, -1e-30, 40, -40]);
        const y = await engine.read(engine[unit](engine.upload(given), { T: 1, F: given.length }));
        const truth = oracle.flat[unit]({ up_TF: Float64Array.from(given) }, {});
        for (const [i, x] of given.entries()) {
          const share = truth[i] / x;
          // In float32 an erf that is off by 1e-7 gives half of it, and rounding the rest.
          const ofShare = tolerance > 1e-4 ? tolerance : tolerance / 40 + 2 ** -23 * share;
          const allowed = x === 0 ? 0 : Math.abs(x) * ofShare;
          expect(Math.abs(y[i] - truth[i]), `${unit} of ${x}: ${y[i]}, needed ${truth[i]}`).toBeLessThanOrEqual(
            allowed,
          );
        }
      }),
    );

    test("an arena frees what is left, keeps what is kept, and hands errors on", async () => {
      const engine = await open();
      const values = Float32Array.of(1, 2, 3);
      const kept = await engine.arena(async () => {
        engine.upload(Float32Array.of(9, 9, 9));
        const array = engine.upload(values);
        engine.keep(array);
        return array;
      });
      await expect(engine.arena(() => Promise.reject(new Error("broken work")))).rejects.toThrow("broken work");
      await engine.arena(async () => {
        engine.upload(Float32Array.of(7, 7, 7));
        expect(await engine.read(kept)).toEqual(values);
      });
      engine.free(kept);
      expect(() => engine.free(kept)).toThrow("Cannot free an array");
    });
  });
}

/** Every sequence fed in two pieces must give the bits of one pass, or what is within the tolerance of it. */
async function expectCachedEqual(
  engine: Engine,
  qkv: Float32Array,
  whole: Float32Array,
  lengths: readonly number[],
  size: AttentionSize,
  tolerance: number,
): Promise<void> {
  const { H, G, d } = size;
  const X = (H + 2 * G) * d;
  const caches = lengths.map((length) => engine.kvCache(length, 2 * G * d));
  const result = new Float32Array(whole.length);
  const begins = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
  const done = lengths.map(() => 0);
  for (const share of [0.5, 1]) {
    const counts = lengths.map((length, s) => Math.ceil(length * share) - done[s]);
    const live = counts.flatMap((count, s) => (count > 0 ? [s] : []));
    const tokens = live.flatMap((s) => Array.from({ length: counts[s] }, (_, i) => begins[s] + done[s] + i));
    if (tokens.length === 0) continue;
    const part = Float32Array.from(tokens.flatMap((t) => [...qkv.subarray(t * X, (t + 1) * X)]));
    const cuSeqlens = Int32Array.from([
      0,
      ...live.map((_, i) => live.slice(0, i + 1).reduce((a, s) => a + counts[s], 0)),
    ]);
    const starts = Int32Array.from(live, (s) => done[s]);
    const used = live.map((s) => caches[s]);
    const o = engine.cachedAttention(engine.upload(part), used, starts, cuSeqlens, { ...size, T: tokens.length });
    const read = await engine.read(o);
    for (const [i, t] of tokens.entries()) result.set(read.subarray(i * H * d, (i + 1) * H * d), t * H * d);
    for (const s of live) done[s] += counts[s];
  }
  const expectEqual = tolerance === 0 ? expectSameBits : expectClose;
  expectEqual(result, Float64Array.from(whole), tolerance, "o over a cache");
  for (const cache of caches) engine.freeCache(cache);
}
