import { plainCell } from "../terminal/plain_text.ts";

/** Rows of text in columns: the first one to the left, the others to the right. */
export function table(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(plainCell));
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}
