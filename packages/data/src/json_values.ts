/**
 * JSON as programs write it: with the NaN and Infinity of Python, with values one after another instead of a list. What
 * cannot be read is found value by value, so that a message can name the record.
 */
import { checkNesting } from "@zerogate/core/formats";

/** Where a value of a sequence lies in a text. */
interface Span {
  readonly begin: number;
  /** Behind its last character. */
  readonly end: number;
  /** False if the text ends inside it. */
  readonly isWhole: boolean;
  /** Commas between the value before it, or the start, and itself. */
  readonly commas: number;
}

/** The only key of what `parseJson` returns for a number that JSON does not have. */
const NOT_IN_JSON = "is not in JSON";
const SPACE = /\s/;
const [quote, backslash] = [0x22, 0x5c];

/** Parses JSON in which NaN, Infinity and -Infinity may stand as values. @throws SyntaxError for anything else, and for brackets without end. */
export function parseJson(text: string): unknown {
  checkNesting(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    const mended = replaceNonFinite(text);
    if (mended === text) throw error;
    return JSON.parse(mended);
  }
}

/** Returns `NaN`, `Infinity` or `-Infinity` if `parseJson` found it as this value, undefined for all other values. */
export function nonFinite(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, NOT_IN_JSON)) return undefined;
  return String((value as Record<string, unknown>)[NOT_IN_JSON]);
}

/** Finds the values that stand one after another from `from` on, up to a bracket that was opened before it. */
function* valueSpans(text: string, from = 0): Generator<Span, number> {
  let i = from;
  for (;;) {
    let commas = 0;
    for (; i < text.length && (text[i] === "," || SPACE.test(text[i]!)); i++) if (text[i] === ",") commas++;
    if (i === text.length || text[i] === "]" || text[i] === "}") return i;
    const { end, isWhole } = valueEnd(text, i);
    yield { begin: i, end, isWhole, commas };
    i = end;
  }
}

/** Whether a text is one value, judged by its brackets. */
export function isOneValue(text: string): boolean {
  const { value: span } = valueSpans(text).next();
  return typeof span === "object" && span.isWhole && text.slice(span.end).trim() === "";
}

/**
 * The records of a text: the elements of a list, or values one after another. Returns undefined if it is neither, but a line
 * of it is a value: then it is one of lines with a bad first one.
 * @throws Error that says what is wrong, with record and line.
 */
export function parseValues(
  text: string,
): { readonly values: readonly unknown[]; readonly isList: boolean } | undefined {
  const isList = text.trimStart().startsWith("[");
  try {
    const value = parseJson(text);
    return { values: isList ? (value as unknown[]) : [value], isList };
  } catch (cause) {
    if (isList) throw new Error(describeListFault(text), { cause });
  }
  const values: unknown[] = [];
  let end = 0;
  for (const span of valueSpans(text)) {
    end = span.end;
    const fault =
      describeValueFault(text, span) ??
      (span.commas > 0 ? "follows a comma: put [ in front of all records and ] behind them" : undefined);
    if (fault === undefined) values.push(parseJson(text.slice(span.begin, span.end)));
    else if (hasValueLine(text)) return undefined;
    else throw new Error(`record ${values.length} (line ${lineAt(text, span.begin)}) ${fault}`);
  }
  const rest = text.slice(end).search(/\S/);
  if (rest < 0) return { values, isList };
  if (hasValueLine(text)) return undefined;
  throw new Error(`line ${lineAt(text, end + rest)} closes a bracket that nothing opened`);
}

/** Says what keeps `text`, which begins with `[`, from being a JSON list, with record and line. */
function describeListFault(text: string): string {
  const begin = text.indexOf("[") + 1;
  const spans = valueSpans(text, begin);
  let index = 0;
  for (let next = spans.next(); ; next = spans.next(), index++) {
    if (next.done) return describeListEnd(text, next.value, index);
    const place = `record ${index} (line ${lineAt(text, next.value.begin)})`;
    const fault = describeValueFault(text, next.value);
    if (fault) return `${place} ${fault}`;
    if (next.value.commas !== Math.min(1, index)) {
      return `${next.value.commas === 0 ? "no comma stands" : "too many commas stand"} before ${place}`;
    }
  }
}

/** Says what is wrong with one value of a sequence, or returns undefined. */
function describeValueFault(text: string, { begin, end, isWhole }: Span): string | undefined {
  if (!isWhole) return "is cut off: the file ends inside it, copy it again";
  try {
    parseJson(text.slice(begin, end));
    return undefined;
  } catch (error) {
    return `is not JSON (${oneLine((error as Error).message)})`;
  }
}

/** Whether the second line that is not empty is a whole object. */
function hasValueLine(text: string): boolean {
  const second = /^\s*[^\n]+\n\s*([^\n]*)/.exec(text)?.[1]?.trim() ?? "";
  return second.startsWith("{") && isOneValue(second);
}

/** What the parser quotes of the text must not break the line of a message. */
const oneLine = (message: string): string => message.replaceAll(/[\s\p{Cc}]+/gu, " ");

/** Line of a character, from 1. */
function lineAt(text: string, position: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < position; i = text.indexOf("\n", i + 1)) line++;
  return line;
}

function describeListEnd(text: string, end: number, records: number): string {
  const line = lineAt(text, end);
  if (text[end] !== "]") return `the list is not closed after ${records} records: the file was cut off, copy it again`;
  if (/,\s*$/.test(text.slice(Math.max(0, end - 1000), end))) return `a comma follows the last record (line ${line})`;
  return `more follows the list that ends in line ${line}, one list is needed: jq -c '.[]' makes lines of several`;
}

function valueEnd(text: string, begin: number): { end: number; isWhole: boolean } {
  let depth = 0;
  for (let i = begin; i < text.length; i++) {
    const char = text[i]!;
    if (char === '"') {
      i = stringEnd(text, i) - 1;
      if (i >= text.length) break;
    } else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (depth > 0) continue;
    else {
      while (i < text.length && !/[\s,[\]{}"]/.test(text[i]!)) i++;
      return { end: Math.max(i, begin + 1), isWhole: true };
    }
    if (depth === 0) return { end: i + 1, isWhole: true };
  }
  return { end: text.length, isWhole: false };
}

/** Behind the string that begins at `begin`; beyond the text if it does not end. */
function stringEnd(text: string, begin: number): number {
  let i = begin + 1;
  while (i < text.length && text.charCodeAt(i) !== quote) i += text.charCodeAt(i) === backslash ? 2 : 1;
  return i + 1;
}

function replaceNonFinite(text: string): string {
  if (!/NaN|Infinity/.test(text)) return text;
  const parts: string[] = [];
  let kept = 0;
  const token = /"|NaN|-?Infinity/g;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    if (found[0] === '"') {
      token.lastIndex = stringEnd(text, found.index);
      continue;
    }
    parts.push(text.slice(kept, found.index), JSON.stringify({ [NOT_IN_JSON]: found[0] }));
    kept = token.lastIndex;
  }
  return parts.length === 0 ? text : parts.join("") + text.slice(kept);
}
