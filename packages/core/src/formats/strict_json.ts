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

/** No format here nests deeper than ten. */
const MAX_DEPTH = 1000;

/**
 * Throws a `SyntaxError` where brackets of `text`, which need not be JSON, are open more than a thousand deep. `JSON.parse`
 * takes 40 bytes for each of them: 60 MiB of brackets would cost 2.6 GB before they are found to be no JSON.
 */
export function checkNesting(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === openBrace || char === openBracket) {
      if (++depth > MAX_DEPTH) throw new SyntaxError(`Brackets are nested more than ${MAX_DEPTH} deep`);
    } else if (char === closeBrace || char === closeBracket) depth--;
    else if (char === quote) {
      for (i++; i < text.length && text.charCodeAt(i) !== quote; i++) if (text.charCodeAt(i) === backslash) i++;
    }
  }
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
