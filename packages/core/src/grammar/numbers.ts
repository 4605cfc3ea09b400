/** Paths for numbers: at most fifteen digits, which a double keeps, so that what is written is what is read. */
import { addByte, addDigits, addEmpty, addText, node, type Place } from "./paths.ts";

/** Digits in front of the point, and behind it. */
const MOST_DIGITS = 15;
const MOST_DECIMALS = 10;

/** Adds all numbers, or all whole ones. */
export function addNumber(place: Place, from: number, isWhole: boolean, to: number): void {
  const [digits, whole] = [node(place), node(place)];
  addEmpty(place, from, digits);
  addText(place, from, "-", digits);
  addText(place, digits, "0", whole);
  const more = node(place);
  addByte(place, digits, 0x31, 0x39, more);
  addEmpty(place, more, whole);
  addDigits(place, more, 1, MOST_DIGITS - 1, whole);
  addEmpty(place, whole, to);
  if (isWhole) return;
  const parted = node(place);
  addDecimals(place, whole, parted);
  addEmpty(place, parted, to);
  const [power, signed] = [node(place), node(place)];
  for (const at of [whole, parted]) for (const letter of "eE") addText(place, at, letter, power);
  addEmpty(place, power, signed);
  for (const sign of "+-") addText(place, power, sign, signed);
  addDigits(place, signed, 1, 2, to);
}

function addDecimals(place: Place, from: number, to: number): void {
  const point = node(place);
  addText(place, from, ".", point);
  addDigits(place, point, 1, MOST_DECIMALS, to);
}

/** Adds the numbers from `first` to `last`, which are whole, or the whole ones of them. */
export function addRange(
  place: Place,
  from: number,
  [first, last]: readonly [number, number],
  isWhole: boolean,
  to: number,
): void {
  if (last >= 0) addMagnitudes(place, from, Math.max(first, 0), last, isWhole, to);
  if (first >= 0) return;
  const negative = node(place);
  addText(place, from, "-", negative);
  // What lies between -1 and 0 begins with -0.
  const least = last >= 0 ? (isWhole ? 1 : 0) : -last;
  addMagnitudes(place, negative, least, -first, isWhole, to);
}

function addMagnitudes(place: Place, from: number, least: number, most: number, isWhole: boolean, to: number): void {
  const whole = node(place);
  addWhole(place, from, least, most, whole);
  addEmpty(place, whole, to);
  if (isWhole || most <= least) return;
  const parted = node(place); // the last whole number is followed by no decimals
  addWhole(place, from, least, most - 1, parted);
  addDecimals(place, parted, to);
}

/** Adds whole numbers from 0 on, length by length. */
function addWhole(place: Place, from: number, least: number, most: number, to: number): void {
  for (let length = String(least).length; length <= String(most).length; length++) {
    const low = length === String(least).length ? String(least) : `1${"0".repeat(length - 1)}`;
    const high = length === String(most).length ? String(most) : "9".repeat(length);
    addBetween(place, from, low, high, to);
  }
}

/** Adds the texts of digits from `low` to `high`, which are as long as each other. */
function addBetween(place: Place, from: number, low: string, high: string, to: number): void {
  const [a, b] = [low.charCodeAt(0), high.charCodeAt(0)];
  if (low.length === 1) return addByte(place, from, a, b, to);
  const [restOfLow, restOfHigh] = [low.slice(1), high.slice(1)];
  const digit = (first: number, last: number, restLow: string, restHigh: string) => {
    if (first > last) return;
    const next = node(place);
    addByte(place, from, first, last, next);
    addBetween(place, next, restLow, restHigh, to);
  };
  const [zeros, nines] = ["0".repeat(restOfLow.length), "9".repeat(restOfLow.length)];
  if (a === b) return digit(a, a, restOfLow, restOfHigh);
  const [hasLow, hasHigh] = [restOfLow !== zeros, restOfHigh !== nines];
  if (hasLow) digit(a, a, restOfLow, nines);
  digit(hasLow ? a + 1 : a, hasHigh ? b - 1 : b, zeros, nines);
  if (hasHigh) digit(b, b, zeros, restOfHigh);
}
