/** Conformance of the gated delta rule: against `oracle.ts`, its finite differences, and itself in pieces and in company. */
import { expect, test } from "vitest";
import type { DeltaSize, Engine } from "../src/engine/engine.ts";
import { expectClose, expectGradient, expectSameBits, single, wave } from "./numeric.ts";
import * as oracle from "./oracle.ts";

type Abilities = Required<Pick<Engine, "gatedDelta" | "gatedDeltaBackward" | "deltaState">>;
type Shape = Omit<DeltaSize, "T">;

/** Key heads that are shared and not, keys of one number to more than a vector of any instruction set, no convolution to a long one. */
const shapes: readonly Shape[] = [
  { keyHeads: 1, valueHeads: 1, keyDim: 1, valueDim: 1, taps: 1 },
  { keyHeads: 2, valueHeads: 4, keyDim: 6, valueDim: 6, taps: 4 },
  { keyHeads: 2, valueHeads: 2, keyDim: 19, valueDim: 3, taps: 3 },
  { keyHeads: 1, valueHeads: 3, keyDim: 40, valueDim: 9, taps: 6 },
];
const packings: readonly (readonly number[])[] = [[1], [7], [1, 4, 2], [2, 9]];

const f32 = (values: Float64Array, shape: readonly number[]) => ({
  dtype: "f32" as const,
  shape,
  bytes: new Uint8Array(single(values).buffer),
});

/** @param cached relative difference that a sequence in pieces may have; 0: the same bits. */
export function describeDelta(
  run: (work: (engine: Engine) => Promise<void>) => Promise<void>,
  tolerance: number,
  cached: number,
): void {
  for (const shape of shapes) {
    for (const lengths of packings) {
      const title = `${Object.values(shape).join("/")}, sequences of ${lengths.join(", ")}`;
      const numbers = deltaNumbers(shape, lengths);
      const { size, cuSeqlens, C, M } = numbers;

      test(`gatedDelta ${title}: forward and backward`, () =>
        run(async (engine) => {
          const ability = abilitiesOf(engine);
          if (!ability) return;
          const { x, gates } = numbers;
          const weights = weightsOf(engine, numbers);
          const input = { x_TC: engine.upload(single(x)), gates_T2N: engine.upload(single(gates)) };
          const forward = (change: Partial<typeof numbers>) =>
            oracle.gatedDelta({ ...numbers, ...change }, cuSeqlens, size);
          const o_TM = ability.gatedDelta(input, weights, cuSeqlens, size);
          expectClose(await engine.read(o_TM), forward({}), 4 * tolerance, "o");
          const dO = wave(size.T * M, 2.4);
          const do_TM = engine.upload(single(dO));
          const { dx_TC, dgates_T2N } = ability.gatedDeltaBackward({ ...input, do_TM }, weights, cuSeqlens, size);
          const dx = await engine.read(dx_TC);
          expectGradient((at) => forward({ x: at }), x, dO, dx, 16 * tolerance, "gatedDelta, x");
          const dgates = await engine.read(dgates_T2N);
          expectGradient((at) => forward({ gates: at }), gates, dO, dgates, 16 * tolerance, "gatedDelta, gates");
        }));

      test(`gatedDelta ${title}: a sequence has the bits that it has alone, also in pieces and behind another's state`, () =>
        run(async (engine) => {
          const ability = abilitiesOf(engine);
          if (!ability) return;
          const weights = weightsOf(engine, numbers);
          const rows = (of: Float64Array, width: number, from: number, to: number) =>
            engine.upload(single(of.subarray(from * width, to * width)));
          const input = (from: number, to: number) => ({
            x_TC: rows(numbers.x, C, from, to),
            gates_T2N: rows(numbers.gates, 2 * shape.valueHeads, from, to),
          });
          const whole = await engine.read(ability.gatedDelta(input(0, size.T), weights, cuSeqlens, size));
          const state = ability.deltaState({ ...size, T: 1 });
          for (let s = 0; s + 1 < cuSeqlens.length; s++) {
            const [begin, end] = [cuSeqlens[s], cuSeqlens[s + 1]];
            const own = { ...size, T: end - begin };
            const alone = ability.gatedDelta(input(begin, end), weights, Int32Array.of(0, own.T), own);
            const expected = Float64Array.from(whole.subarray(begin * M, end * M));
            expectSameBits(await engine.read(alone), expected, 0, "alone");
            // One token, then one, then the rest; what the state holds of the sequence before does not count.
            for (let from = begin; from < end; ) {
              const to = from < begin + 2 ? from + 1 : end;
              const past = { states: [state], starts: Int32Array.of(from - begin) };
              const piece = ability.gatedDelta(
                input(from, to),
                weights,
                Int32Array.of(0, to - from),
                { ...size, T: to - from },
                past,
              );
              const same = Float64Array.from(whole.subarray(from * M, to * M));
              (cached === 0 ? expectSameBits : expectClose)(
                await engine.read(piece),
                same,
                cached,
                `tokens ${from} to ${to}`,
              );
              from = to;
            }
          }
          engine.freeCache(state);
        }));
    }
  }

  test("gatedDelta refuses heads, weights and arrays that do not fit", () =>
    run(async (engine) => {
      const ability = abilitiesOf(engine);
      if (!ability) return;
      const numbers = deltaNumbers(shapes[1], [3]);
      const { size, cuSeqlens, x, gates } = numbers;
      const weights = weightsOf(engine, numbers);
      const input = { x_TC: engine.upload(single(x)), gates_T2N: engine.upload(single(gates)) };
      const call =
        (change: Partial<DeltaSize>, of = input) =>
        () =>
          ability.gatedDelta(of, weights, cuSeqlens, { ...size, ...change });
      expect(call({ keyHeads: 3 })).toThrow("Cannot run gatedDelta: 4 value heads do not share 3 key heads evenly");
      expect(call({ taps: 3 })).toThrow(RangeError);
      expect(call({}, { ...input, x_TC: input.gates_T2N })).toThrow(RangeError);
    }));
}

/** Everything in float64; α from hardly any to hardly none, and one row of x that is all zeros. */
function deltaNumbers(shape: Shape, lengths: readonly number[]) {
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
  const T = cuSeqlens[lengths.length];
  const { keyHeads, valueHeads: N, keyDim, valueDim, taps } = shape;
  const M = N * valueDim;
  const C = 2 * keyHeads * keyDim + M;
  const x = wave(T * C, 0.3);
  return {
    size: { T, ...shape },
    cuSeqlens,
    C,
    M,
    x,
    gates: wave(T * 2 * N, 1.6),
    conv: wave(C * taps, 0.9),
    rate: wave(N, 2.1),
    bias: wave(N, 0.2),
  };
}

type DeltaNumbers = ReturnType<typeof deltaNumbers>;

function weightsOf(engine: Engine, { conv, rate, bias, C, size }: DeltaNumbers) {
  return {
    conv_CL: engine.matrix(f32(conv, [C, size.taps])),
    rate_N: engine.matrix(f32(rate, [rate.length])),
    bias_N: engine.matrix(f32(bias, [bias.length])),
  };
}

/** Undefined for an engine without delta nets. */
function abilitiesOf({ gatedDelta, gatedDeltaBackward, deltaState }: Engine): Abilities | undefined {
  return gatedDelta && gatedDeltaBackward && deltaState ? { gatedDelta, gatedDeltaBackward, deltaState } : undefined;
}
