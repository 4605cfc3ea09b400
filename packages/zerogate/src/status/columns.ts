/** Texts side by side on a terminal. */
import { fitLine, oneLine, visibleWidth } from "./fit.ts";

const GAP = "  ";
/** Narrower columns are hard to read: then the texts stand one below the other. */
const LEAST_WIDTH = 20;

export interface Column {
  readonly title: string;
  readonly text: string;
}

/** A heading, then the columns under their titles, no line longer than `width`. Ends without a line break. */
export function sideBySide(heading: string, columns: readonly Column[], width: number): string {
  const each = Math.floor((width - GAP.length * (columns.length - 1)) / columns.length);
  const head = wrap(heading, Math.max(1, width - 2)).map((line) => `> ${line}`);
  if (each < LEAST_WIDTH) {
    const below = columns.flatMap(({ title, text }) => ["", rule(title, width), ...wrap(text, width)]);
    return [...head, ...below].join("\n");
  }
  const cells = columns.map(({ title, text }) => [rule(title, each), ...wrap(text, each)]);
  const height = Math.max(...cells.map((lines) => lines.length));
  const rows = Array.from({ length: height }, (_, y) => {
    const parts = cells.map((lines) => lines[y] ?? "");
    return parts
      .map((part) => part + " ".repeat(each - visibleWidth(part)))
      .join(GAP)
      .trimEnd();
  });
  return [...head, "", ...rows].join("\n");
}

/** A title and a line to the end of its column. */
function rule(title: string, width: number): string {
  const text = fitLine(oneLine(title), width - 2);
  return `${text} ${"─".repeat(Math.max(0, width - visibleWidth(text) - 1))}`;
}

/** Breaks text at its own line breaks and between words; a word that is too long is cut. */
function wrap(text: string, width: number): string[] {
  return text.split(/\r?\n/).flatMap((paragraph) => {
    const lines: string[] = [];
    let line = "";
    for (const word of oneLine(paragraph)
      .split(" ")
      .flatMap((whole) => cut(whole, width))) {
      if (line !== "" && visibleWidth(line) + 1 + visibleWidth(word) > width) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    return [...lines, line];
  });
}

/** Pieces of at most `width` columns. */
function cut(word: string, width: number): string[] {
  const pieces: string[] = [];
  let piece = "";
  for (const character of word) {
    if (piece !== "" && visibleWidth(piece + character) > width) {
      pieces.push(piece);
      piece = "";
    }
    piece += character;
  }
  return [...pieces, piece];
}
