/**
 * Sums of gradients that do not depend on order: int64 fixed point, unit 2⁻⁴⁸. Integer addition is associative, so
 * whichever worker computed a cell, and whenever it arrived, the sum has the same bits.
 *
 * Each number adds rint(g · 2⁴⁸), ties to even, as `llrint` does: native engines give the same bits. Float32 values of
 * 2⁻²⁵ and more are represented exactly, smaller ones are off by at most 2⁻⁴⁹.
 *
 * An int64 is a pair of 32-bit words, low word first, as it lies in memory on every machine that Node runs on. Loops use
 * float64 and int32 arithmetic only: the same over `BigInt64Array` takes 20 times as long.
 */
import { type Allocate, ownMemory } from "../allocate.ts";

/** 2·n words of n sums; over a SharedArrayBuffer threads can add to it. `BigInt64Array` over the same bytes shows the integers. */
export type FixedPointSum = Int32Array;

/** One is this many units. */
const UNITS = 2 ** 48;
const WORD = 2 ** 32;
/** Adding and taking away 1.5·2⁵² (1.5·2⁸⁴) rounds a float64 below 2⁵¹ (2⁸³) to a multiple of 1 (2³²), ties to even. */
const TO_INTEGER = 1.5 * 2 ** 52;
const TO_WORD = 1.5 * 2 ** 84;

/** Magnitude that one addend must stay below, so that 64 addends stay below 2⁶³ units in any order. */
export const ADDEND_LIMIT = 512;

/**
 * Zeroed sums of `length` numbers.
 * @param allocate makes their memory. @default memory of this thread alone
 */
export function createFixedPointSum(length: number, allocate: Allocate = ownMemory): FixedPointSum {
  return new Int32Array(allocate(8 * length));
}

/**
 * Adds `gradient` to `sum`. A number that is not finite or whose magnitude is not below `limit` (at most 512) adds 0;
 * returns how many there were. Throws a RangeError if lengths differ.
 */
export function addFixedPoint(sum: FixedPointSum, gradient: Float32Array, limit: number = ADDEND_LIMIT): number {
  checkWords(sum, 2 * gradient.length);
  if (!(limit > 0 && limit <= ADDEND_LIMIT)) {
    throw new RangeError(`Cannot add a gradient: limit is ${limit}, above 0 and at most ${ADDEND_LIMIT} is needed`);
  }
  const limitUnits = limit * UNITS;
  let bad = 0;
  for (let i = 0, w = 0; i < gradient.length; i++, w += 2) {
    const units = gradient[i] * UNITS;
    // NaN fails both comparisons.
    if (!(units > -limitUnits && units < limitUnits)) {
      bad++;
      continue;
    }
    // Every step but the rounding is exact, and without branches: carries are random, and a mispredicted one is slow.
    const high = units + TO_WORD - TO_WORD;
    const low = units - high + TO_INTEGER - TO_INTEGER + (sum[w] >>> 0);
    const carry = Math.floor(low / WORD);
    sum[w] = low - carry * WORD;
    sum[w + 1] = (sum[w + 1] + high / WORD + carry) | 0;
  }
  return bad;
}

/** Adds the sums of `from` to `into`: any int64 data, wrapping at 2⁶³. Throws a RangeError if lengths differ. */
export function addSums(into: FixedPointSum, from: FixedPointSum): void {
  checkWords(into, from.length);
  for (let w = 0; w < from.length; w += 2) {
    const a = into[w];
    const b = from[w];
    const low = (a + b) | 0;
    // A carry leaves the top bit if both have one, or if one has and the sum has not.
    const carry = ((a & b) | ((a | b) & ~low)) >>> 31;
    into[w] = low;
    into[w + 1] = (into[w + 1] + from[w + 1] + carry) | 0;
  }
}

/** The sums as the nearest float32 (ties to even), rounded once. Throws a RangeError if lengths differ. */
export function readFixedPoint(sum: FixedPointSum, out: Float32Array): void {
  checkWords(sum, 2 * out.length);
  for (let i = 0, w = 0; i < out.length; i++, w += 2) {
    const high = sum[w + 1];
    let low = sum[w] >>> 0;
    // From 2⁵² units on float64 could round, and float32 after it again. Half a float32 step is 2²⁸ units there, so
    // of the last 16 bits only "something" matters: it goes into bit 16 (rounding to odd), and the rest is exact.
    if ((high >= 0x100000 || high < -0x100000) && (low & 0xffff) !== 0) low = ((low & 0xffff0000) | 0x10000) >>> 0;
    out[i] = (high * WORD + low) / UNITS;
  }
}

function checkWords(sum: FixedPointSum, words: number): void {
  if (sum.length !== words) {
    throw new RangeError(`Cannot use fixed-point sums: ${sum.length / 2} numbers there, ${words / 2} are needed`);
  }
}
