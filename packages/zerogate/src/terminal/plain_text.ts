/**
 * Text of strangers (names, metadata, messages of libraries, what a model answers) as a terminal shows it and does not obey
 * it. What steers a terminal or turns the direction of writing is shown by its number, as JSON writes it: `\u001b`.
 *
 * That is: control characters of both sets (C0 but for line breaks and tabs, DEL, C1), line and paragraph separators, and
 * the marks, embeddings, overrides and isolates of writing directions (Unicode TR 36, 2.10).
 */
const turning = "\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069";
const steering = new RegExp(`\\r(?!\\n)|[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f${turning}]`, "g");
const breaking = new RegExp(`[\\0-\\x1f\\x7f-\\x9f${turning}]`, "g");

const numbered = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Keeps line breaks and tabs. JSON stays JSON of the same value, because the numbers are written as JSON writes them. */
export function plainText(text: string): string {
  return text.replace(steering, numbered);
}

/** For a cell of a table or the value of a row: a line break cannot begin a row of its own. */
export function plainCell(text: string): string {
  return text.replace(breaking, numbered);
}

/** For a line that is measured and cut: a space stands in for each of these characters. */
export function spaced(text: string): string {
  return text.replace(breaking, " ");
}

/** Indents all lines but the first: none that a message quotes can pass for a message of its own. */
export function continued(text: string): string {
  return text.replace(/\n(?=[^\s])/g, "\n  ");
}
