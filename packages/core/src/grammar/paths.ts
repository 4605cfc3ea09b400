/** Paths for the parts of JSON texts: words, characters of strings, white space, digits. */
import { addNode, type Budget, type Graph } from "./graph.ts";

/** Where paths are added. */
export interface Place {
  readonly graph: Graph;
  readonly budget: Budget;
}

export const node = ({ graph, budget }: Place): number => addNode(graph, budget);

export function addByte({ graph }: Place, from: number, low: number, high: number, to: number): void {
  graph.ranges[from]?.push({ low, high, to });
}

export function addEmpty({ graph }: Place, from: number, to: number): void {
  graph.empty[from]?.push(to);
}

/** Adds the path of a text. */
export function addText(place: Place, from: number, text: string, to: number): void {
  const bytes = new TextEncoder().encode(text);
  let at = from;
  for (const [i, byte] of bytes.entries()) {
    const next = i === bytes.length - 1 ? to : node(place);
    addByte(place, at, byte, byte, next);
    at = next;
  }
}

/** Adds paths of ranges, one after another. */
function addRanges(place: Place, from: number, ranges: readonly (readonly [number, number])[], to: number): void {
  let at = from;
  for (const [i, [low, high]] of ranges.entries()) {
    const next = i === ranges.length - 1 ? to : node(place);
    addByte(place, at, low, high, next);
    at = next;
  }
}

const REST = [0x80, 0xbf] as const;
/** Characters beyond ASCII (Unicode, table 3-7). */
const CHARACTERS: readonly (readonly (readonly [number, number])[])[] = [
  [[0xc2, 0xdf], REST],
  [[0xe0, 0xe0], [0xa0, 0xbf], REST],
  [[0xe1, 0xec], REST, REST],
  [[0xed, 0xed], [0x80, 0x9f], REST],
  [[0xee, 0xef], REST, REST],
  [[0xf0, 0xf0], [0x90, 0xbf], REST, REST],
  [[0xf1, 0xf3], REST, REST, REST],
  [[0xf4, 0xf4], [0x80, 0x8f], REST, REST],
];
/** Printable ASCII but for the quote and the backslash. */
export const PLAIN: readonly (readonly [number, number])[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x7e],
];

/** Adds one character of a string, as it is or escaped. Halves of surrogate pairs are not written. */
export function addCharacter(place: Place, from: number, to: number): void {
  for (const [low, high] of PLAIN) addByte(place, from, low, high, to);
  addByte(place, from, 0x7f, 0x7f, to);
  for (const ranges of CHARACTERS) addRanges(place, from, ranges, to);
  const escaped = node(place);
  addText(place, from, "\\", escaped);
  for (const letter of '"\\/bfnrt') addText(place, escaped, letter, to);
  const [code, d, [third, fourth, last]] = [node(place), node(place), [node(place), node(place), node(place)]];
  addText(place, escaped, "u", code);
  addHex(place, code, "0123456789aAbBcCeEfF", third);
  addHex(place, code, "dD", d);
  addHex(place, d, "01234567", fourth);
  addHex(place, third, HEX, fourth);
  addHex(place, fourth, HEX, last);
  addHex(place, last, HEX, to);
}

const HEX = "0123456789abcdefABCDEF";

function addHex(place: Place, from: number, digits: string, to: number): void {
  for (const digit of digits) addText(place, from, digit, to);
}

/** The deepest indentation that is followed. */
const MOST_SPACES = 24;

/** Adds a space, or a new line and its indentation. */
export function addSpaces(place: Place, from: number, to: number): void {
  addText(place, from, " ", to);
  let line = node(place);
  addText(place, from, "\n", line);
  for (let i = 0; i < MOST_SPACES; i++) {
    const next = node(place);
    addEmpty(place, line, to);
    addText(place, line, " ", next);
    line = next;
  }
  addEmpty(place, line, to);
}

/** Adds `least` to `most` digits. */
export function addDigits(place: Place, from: number, least: number, most: number, to: number): void {
  let at = from;
  for (let i = 0; i < most; i++) {
    const next = node(place);
    addByte(place, at, 0x30, 0x39, next);
    if (i + 1 >= least) addEmpty(place, next, to);
    at = next;
  }
}
