/** Text with colours, measured and cut by what is seen of it. */
import { stripVTControlCharacters } from "node:util";
import { spaced } from "../terminal/plain_text.ts";

const ESCAPE = "\u001b";
const pieces = new RegExp(`${ESCAPE}\\[[0-9;]*m|[^]`, "gu");

/** Characters of two columns: East Asian ones and pictures, as they occur in names of files. */
const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;

const columnsOf = (character: string): number => (wide.test(character) ? 2 : 1);

/** Columns that a line takes. */
export function visibleWidth(line: string): number {
  return Array.from(stripVTControlCharacters(line)).reduce((sum, character) => sum + columnsOf(character), 0);
}

/** Cuts a line to `width` columns, the last of them an ellipsis; colours are closed. */
export function fitLine(line: string, width: number): string {
  if (visibleWidth(line) <= width) return line;
  let out = "";
  let columns = 0;
  let coloured = false;
  for (const piece of line.match(pieces) ?? []) {
    if (piece.length > 1 && piece.startsWith(ESCAPE)) {
      coloured = true;
      out += piece;
    } else {
      columns += columnsOf(piece);
      if (columns < width) out += piece;
    }
  }
  return `${out}${coloured ? `${ESCAPE}[0m` : ""}${width > 0 ? "…" : ""}`;
}

/** Text from elsewhere (a path, a phase) on one line: it must not steer the terminal. */
export function oneLine(text: string): string {
  return spaced(stripVTControlCharacters(text));
}
