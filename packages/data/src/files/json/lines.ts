/** JSON Lines: a value a line. A line that is no value is a fault of its own. */
import { isUtf8 } from "node:buffer";
import { iconv } from "../../conversions.ts";
import { describeForeignText } from "../../foreign_text.ts";
import { isOneValue, parseJson } from "../../json_values.ts";
import { firstNotUtf8 } from "../../not_utf8.ts";
import { quote, type RecordFault } from "../../record_problems.ts";
import type { ByteSource } from "../byte_source.ts";
import type { DataItem } from "../data_item.ts";

/** A longer line is not an instruction record, and a file without line breaks must not fill the memory. */
const MAX_LINE_BYTES = 16_000_000;
/** After this many lines without one that begins like JSON a text is taken for something else. */
const MAX_FOREIGN_LINES = 1000;
const brace = "{";

/** A line that is not blank, without its end. */
interface Line {
  readonly number: number;
  readonly bytes: Buffer;
  readonly text: string;
}

/** What the first lines of a file say of it. */
export interface FirstLines {
  /** Whether it is one of lines: an object that goes on behind its line is not. */
  readonly areLines: boolean;
  /** The value of its one line; undefined if it has more, or none that is a value. */
  readonly only: unknown;
}

/** Looks at the first two lines. */
export async function lookAtLines(source: ByteSource): Promise<FirstLines> {
  const first: Line[] = [];
  try {
    for await (const lines of linesOf(source)) {
      first.push(...lines.slice(0, 2 - first.length));
      if (first.length === 2 || (first[0] && !isWhole(first[0]))) break;
    }
  } catch (error) {
    if (!(error instanceof LongLineError)) throw error;
    if (error.isFirst && error.start.startsWith(brace)) return { areLines: false, only: undefined };
  }
  const [line, another] = first;
  if (line !== undefined && !isWhole(line)) return { areLines: false, only: undefined };
  const parsed = line === undefined || another !== undefined ? undefined : parsedLine(source.path, line);
  return { areLines: true, only: parsed && "value" in parsed ? parsed.value : undefined };
}

const isWhole = ({ text, bytes }: Line): boolean => !text.startsWith(brace) || !isUtf8(bytes) || isOneValue(text);

/** Reads a value a line. @throws Error if lines are too long, or it turns out that they are no JSON. */
export async function* jsonLines(source: ByteSource): AsyncGenerator<readonly DataItem[]> {
  const { path } = source;
  const firstTexts: string[] = [];
  let isLikeJson = false;
  let count = 0;
  for await (const lines of linesOf(source)) {
    const items: DataItem[] = [];
    for (const line of lines) {
      const { number, text } = line;
      count++;
      if (firstTexts.length < 2) firstTexts.push(text);
      const parsed = parsedLine(path, line);
      items.push({ place: { file: path, line: number }, ...parsed });
      if ("value" in parsed || text.startsWith(brace)) isLikeJson = true;
      if (!isLikeJson && count >= MAX_FOREIGN_LINES) throw new Error(describeForeignText(path, firstTexts));
    }
    yield items;
  }
  if (!isLikeJson && firstTexts.length > 0) throw new Error(describeForeignText(path, firstTexts));
}

function parsedLine(path: string, { bytes, text }: Line): { value: unknown } | { fault: RecordFault } {
  const notUtf8 = firstNotUtf8(bytes);
  if (notUtf8) {
    const expected = `UTF-8 (if the file is Latin-1: ${iconv(path, "WINDOWS-1252")})`;
    return { fault: { kind: "not UTF-8", found: `the byte ${notUtf8.byte}`, expected } };
  }
  try {
    return { value: parseJson(text) };
  } catch {
    const found = `${quote(text)}, which is not JSON`;
    return { fault: { kind: "not JSON", found, expected: "one object a line" } };
  }
}

class LongLineError extends Error {
  readonly start: string;
  readonly isFirst: boolean;
  constructor(line: number, start: string, isFirst: boolean) {
    super(`line ${line} is longer than ${MAX_LINE_BYTES} bytes, one record a line is needed`);
    this.start = start;
    this.isFirst = isFirst;
  }
}

/** Cuts a file into lines, those of a piece at a time, without blank ones. */
async function* linesOf(source: ByteSource): AsyncGenerator<readonly Line[]> {
  let number = 0;
  let isFirst = true;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let lines: Line[] = [];
  const endLine = () => {
    number++;
    const bytes = Buffer.concat(held);
    held = [];
    heldBytes = 0;
    const text = new TextDecoder().decode(bytes).trim();
    if (text !== "") lines.push({ number, bytes, text });
  };
  for await (const piece of source.read()) {
    let begin = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, begin)) {
      held.push(piece.subarray(begin, end));
      endLine();
      begin = end + 1;
    }
    if (lines.length > 0) {
      isFirst = false;
      yield lines;
      lines = [];
    }
    held.push(piece.subarray(begin));
    heldBytes += piece.length - begin;
    if (heldBytes <= MAX_LINE_BYTES) continue;
    const start = held[0]?.toString("utf8", 0, 100).trimStart() ?? "";
    throw new LongLineError(number + 1, start, isFirst);
  }
  endLine();
  if (lines.length > 0) yield lines;
}
