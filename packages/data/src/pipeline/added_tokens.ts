/**
 * Finding added tokens in a text, as the Rust library does: the longest at the leftmost place, those with `single_word` only
 * if no letter is beside them, and with the spaces that `lstrip` and `rstrip` take along.
 */
import type { AddedToken } from "../tokenizer_json.ts";
import type { Part } from "./cut_at_matches.ts";

/** What a text is cut into: tokens, and the texts between them. */
export type Section = Part | { readonly token: AddedToken };

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_BEHIND = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE = /\p{White_Space}/u;

interface Place {
  readonly next: Map<string, Place>;
  token?: AddedToken;
}

/** @param textOf What is looked for in place of the token's own text. */
export function createSplitter(
  tokens: readonly AddedToken[],
  textOf: (token: AddedToken) => string,
): (part: Part) => Section[] {
  const root: Place = { next: new Map() };
  for (const token of tokens) {
    let place = root;
    for (const unit of textOf(token).split("")) {
      const next: Place = place.next.get(unit) ?? { next: new Map() };
      place.next.set(unit, next);
      place = next;
    }
    place.token ??= token;
  }
  return (part) => (root.next.size === 0 ? [part] : splitAt(part, root));
}

function splitAt({ text, isFirst }: Part, root: Place): Section[] {
  const sections: Section[] = [];
  let done = 0;
  const take = (end: number) => {
    if (done < end) sections.push({ text: text.slice(done, end), isFirst: isFirst && done === 0 });
  };
  for (let at = 0; at < text.length; ) {
    const found = longestAt(text, at, root);
    if (!found) {
      at++;
      continue;
    }
    const { token, end } = found;
    // Two units hold the whole character beside the token.
    const isApart =
      !WORD_BEFORE.test(text.slice(Math.max(0, at - 2), at)) && !WORD_BEHIND.test(text.slice(end, end + 2));
    if (token.single_word !== true || isApart) {
      take(token.lstrip === true ? Math.max(spacesBefore(text, at), done) : at);
      sections.push({ token });
      done = token.rstrip === true ? spacesBehind(text, end) : end;
    }
    at = end;
  }
  take(text.length);
  return sections;
}

function longestAt(text: string, begin: number, root: Place): { token: AddedToken; end: number } | undefined {
  let found: { token: AddedToken; end: number } | undefined;
  let place = root.next.get(text.charAt(begin));
  for (let end = begin + 1; place; end++) {
    if (place.token) found = { token: place.token, end };
    place = place.next.get(text.charAt(end)); // no unit is "", which stands behind the end
  }
  return found;
}

function spacesBefore(text: string, at: number): number {
  let begin = at;
  while (SPACE.test(text.charAt(begin - 1))) begin--;
  return begin;
}

function spacesBehind(text: string, at: number): number {
  let end = at;
  while (SPACE.test(text.charAt(end))) end++;
  return end;
}
