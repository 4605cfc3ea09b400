/** A file of JSON lines in the order of a run's steps, each line once, also after a crash and a resume. */
import { existsSync, writeFileSync } from "node:fs";
import { parseStrictJson } from "@zerogate/core/formats";
import { readRegularFileSync } from "@zerogate/core/node";
import { openAppendFile } from "../files/append_file.ts";
import { keepCopy } from "../files/keep_copy.ts";
import type { Trouble } from "../files/trouble.ts";

/** What lines of such a file are. */
export interface LineKind<Line extends { readonly step: number }> {
  /** Completes “line 3 is no line of …”. */
  readonly of: string;
  /** Returns the line that a JSON value is; undefined if it is none. */
  read(value: object): Line | undefined;
}

/** Appends lines. One is handed to the system as a whole, so that a killed run loses none that it wrote. */
export interface SteppedFile<Line> {
  /** Adds a line. */
  write(line: Line): void;
  /** Closes the file. */
  close(): void;
}

/**
 * Opens the file of a run that goes on after `step` steps; undefined: one that starts, perhaps again. What the run is about to do
 * again, and a half-written end, is cut off first: lines stand in the order of their steps. Where they do not, or are of another kind,
 * that is reported to `onDamage`, and a copy of the file is kept.
 */
export function openSteppedFile<Line extends { readonly step: number }>(
  path: string,
  step: number | undefined,
  kind: LineKind<Line>,
  trouble: Trouble,
  onDamage: (sentence: string) => void,
): SteppedFile<Line> {
  const text = step !== undefined && existsSync(path) ? readRegularFileSync(path).toString() : "";
  const damage = damageOf(text, kind);
  if (damage !== undefined) {
    onDamage(`${path} is damaged (${damage}). It is kept as ${keepCopy(path)}; what is in order goes on`);
    writeFileSync(path, linesInOrder(text, kind));
  }
  const file = openAppendFile(path, trouble, existsSync(path) ? bytesUntil(path, step ?? -1, kind) : 0);
  return { write: (line) => file.write(`${JSON.stringify(line)}\n`), close: file.close };
}

/** Returns the lines of a file, and how many are of another kind: a half-written last one, or damage. */
export function readSteppedLines<Line extends { readonly step: number }>(
  path: string,
  kind: LineKind<Line>,
): { readonly lines: Line[]; readonly unreadable: number } {
  const lines: Line[] = [];
  let unreadable = 0;
  for (const text of readRegularFileSync(path).toString().split("\n")) {
    if (text === "") continue;
    const line = parseLine(text, kind);
    if (line === undefined) unreadable++;
    else lines.push(line);
  }
  return { lines, unreadable };
}

/** Up to the end of the last line that the run keeps. */
function bytesUntil<Line extends { readonly step: number }>(path: string, step: number, kind: LineKind<Line>): number {
  const bytes = readRegularFileSync(path);
  let kept = 0;
  for (let begin = 0, end = bytes.indexOf(10) + 1; end > 0; begin = end, end = bytes.indexOf(10, begin) + 1) {
    const line = parseLine(bytes.toString("utf8", begin, end), kind);
    if (line === undefined) continue;
    if (line.step > step) break;
    kept = end;
  }
  return kept;
}

/** The first line of another kind or out of order; a last one that was written in part is no damage. */
function damageOf<Line extends { readonly step: number }>(text: string, kind: LineKind<Line>): string | undefined {
  let before = -1;
  for (const [i, line] of text.split("\n").slice(0, -1).entries()) {
    const parsed = parseLine(line, kind);
    if (parsed === undefined) return `line ${i + 1} is no line of ${kind.of}`;
    if (parsed.step < before) return `line ${i + 1} is of step ${parsed.step}, the one before of step ${before}`;
    before = parsed.step;
  }
  return undefined;
}

/** Lines whose steps fit between those around them. */
function linesInOrder<Line extends { readonly step: number }>(text: string, kind: LineKind<Line>): string {
  const lines = text.split("\n").flatMap((line) => {
    const parsed = parseLine(line, kind);
    return parsed === undefined ? [] : [{ line, step: parsed.step }];
  });
  let before = -1;
  const kept = lines.filter(({ step }, i) => {
    const fits = before <= step && step <= (lines[i + 1]?.step ?? step);
    if (fits) before = step;
    return fits;
  });
  return kept.map(({ line }) => `${line}\n`).join("");
}

function parseLine<Line extends { readonly step: number }>(text: string, { read }: LineKind<Line>): Line | undefined {
  try {
    const value: unknown = parseStrictJson(text);
    return typeof value === "object" && value !== null ? read(value) : undefined;
  } catch {
    return undefined;
  }
}
