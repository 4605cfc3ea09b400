/** JSON as `JSON.parse` reads it, except that an object with the same key twice is refused, not silently thinned out. */

/**
 * Throws a `SyntaxError` on bad JSON and on duplicate keys. Two readers that each keep another duplicate see two
 * different files; safetensors headers have been attacked that way. Read the result's keys with `Object.entries` or
 * `Object.hasOwn`: `__proto__` arrives as an ordinary own property.
 */
export function parseStrictJson(text: string): unknown {
  checkNesting(text);
  const value: unknown = JSON.parse(text);
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) throw new SyntaxError(`Duplicate key ${JSON.stringify(duplicate)} in JSON`);
  return value;
}

/**
 * The same for files that Python wrote: its json module puts `NaN`, `Infinity` and `-Infinity` where JSON has no spelling. They
 * arrive as those numbers; the reader of a field decides whether it can use one.
 */
export function parsePythonJson(text: string): unknown {
  if (!/NaN|Infinity/.test(text)) return parseStrictJson(text);
  checkNesting(text);
  const blanked = textsBlanked(text);
  // JSON has no number for NaN: what changes with the digit put there is one.
  const read = (digit: string): unknown => {
    let plain = "";
    let done = 0;
    for (const { 0: word, index } of blanked.matchAll(/(?<![-\w])(?:NaN|-?Infinity)\b/g)) {
      plain += text.slice(done, index) + (word === "NaN" ? digit : word.replace("Infinity", "1e999"));
      done = index + word.length;
    }
    return parseStrictJson(plain + text.slice(done));
  };
  return nanWhereDifferent(read("0"), read("1"));
}

/** Replaces each character inside quotes with a quote, so that no name is found there. */
function textsBlanked(text: string): string {
  const parts: string[] = [];
  let done = 0;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== quote) continue;
    const begin = i;
    for (i++; i < text.length && text.charCodeAt(i) !== quote; i++) if (text.charCodeAt(i) === backslash) i++;
    parts.push(text.slice(done, begin), '"'.repeat(Math.min(i + 1, text.length) - begin));
    done = i + 1;
  }
  return parts.join("") + text.slice(done);
}

/** Merges `a` with what `b`, of the same shape, says. Keys stay own properties, `__proto__` too. */
function nanWhereDifferent(a: unknown, b: unknown): unknown {
  if (typeof a === "number") return a === b ? a : Number.NaN;
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return a;
  const others: unknown[] = Object.values(b);
  const values = Object.values(a).map((value, i) => nanWhereDifferent(value, others[i]));
  return Array.isArray(a) ? values : Object.fromEntries(Object.keys(a).map((key, i) => [key, values[i]]));
}

/** No format here nests deeper than ten. */
const MAX_DEPTH = 1000;

/** Brackets that any text may open: 100 MB of memory at most. */
const FREE_BRACKETS = 1_000_000;
/** Of a longer text; the densest that formats here have is a pair of short tokens with ten characters. */
const CHARACTERS_PER_BRACKET = 6;

/**
 * Throws a `SyntaxError` if brackets of `text`, which need not be JSON, are open more than a thousand deep, or if the
 * text is little but brackets. `JSON.parse` takes 56 bytes for each character of the first and 31 of the second (measured on
 * Node 20): 60 MiB would cost 3.4 GB before they are found to be no JSON. All else takes 12 at most.
 */
export function checkNesting(text: string): void {
  const problem = nestingProblem(text, measureBrackets(text));
  if (problem !== undefined) throw new SyntaxError(problem);
}

function nestingProblem(text: string, { deepest, opened }: Brackets): string | undefined {
  if (deepest > MAX_DEPTH) return `Brackets are nested more than ${MAX_DEPTH} deep`;
  if (opened <= FREE_BRACKETS || opened * CHARACTERS_PER_BRACKET <= text.length) return undefined;
  return `It is little but brackets: ${opened} of them in ${text.length} characters`;
}

/** Whether a text that is no JSON could be the beginning of one: it ends within a string or within brackets. */
export function isCutOff(text: string): boolean {
  const brackets = measureBrackets(text);
  return brackets.isOpen && nestingProblem(text, brackets) === undefined;
}

interface Brackets {
  readonly deepest: number;
  readonly opened: number;
  /** The text ends within a string or within brackets. */
  readonly isOpen: boolean;
}

/** Stops as soon as it is too deep, so that the depth costs nothing. */
function measureBrackets(text: string): Brackets {
  let [depth, deepest, opened] = [0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === openBrace || char === openBracket) {
      opened++;
      if (++depth > deepest) deepest = depth;
      if (depth > MAX_DEPTH) break;
    } else if (char === closeBrace || char === closeBracket) depth--;
    else if (char === quote) {
      for (i++; i < text.length && text.charCodeAt(i) !== quote; i++) if (text.charCodeAt(i) === backslash) i++;
      if (i >= text.length) return { deepest, opened, isOpen: true };
    }
  }
  return { deepest, opened, isOpen: depth > 0 };
}

/** The first key that an object of `text`, which must be valid JSON, holds twice. One pass, no recursion. */
function duplicateKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []; // one entry per open bracket: an object's keys, undefined for an array
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === openBrace) open.push(new Set());
    else if (char === openBracket) open.push(undefined);
    else if (char === closeBrace || char === closeBracket) open.pop();
    else if (char === quote) {
      const begin = i;
      for (i++; text.charCodeAt(i) !== quote; i++) if (text.charCodeAt(i) === backslash) i++;
      const keys = open.at(-1);
      if (keys === undefined || !colonFollows(text, i + 1)) continue;
      const key: string = JSON.parse(text.slice(begin, i + 1)); // two spellings of one key are one key
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
const [quote, backslash, colon] = [0x22, 0x5c, 0x3a];

function colonFollows(text: string, from: number): boolean {
  let i = from;
  while (text.charCodeAt(i) <= 0x20) i++;
  return text.charCodeAt(i) === colon;
}
