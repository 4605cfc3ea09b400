/** What Python's text methods do where JavaScript's differ: prompts have to be those of lm-evaluation-harness, letter by letter. */

/** Characters that `str.isspace` takes for white space: JavaScript has U+FEFF instead of U+001C to U+001F and U+0085. */
const spaces = new Set(
  "\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
);

/** `str.rstrip` */
export function stripRight(text: string): string {
  let end = text.length;
  while (end > 0 && spaces.has(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** `str.lstrip` */
export function stripLeft(text: string): string {
  let begin = 0;
  while (begin < text.length && spaces.has(text[begin]!)) begin++;
  return text.slice(begin);
}

/** `str.strip` */
export const strip = (text: string): string => stripRight(stripLeft(text));

/** `"".join(text.split())` */
export function withoutSpaces(text: string): string {
  let left = "";
  for (const character of text) if (!spaces.has(character)) left += character;
  return left;
}

/** `str.capitalize`: the first letter large, all others small. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  const upper = first.toUpperCase();
  const [initial = ""] = upper;
  // The whole text is lowered: a sigma at the end of a word depends on what stands before it.
  return initial + upper.slice(initial.length).toLowerCase() + text.toLowerCase().slice(first.toLowerCase().length);
}

/** `len`: characters, of which JavaScript counts some twice. */
export function characters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
