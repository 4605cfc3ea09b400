/** Cutting a text at matches, each behaviour as the `tokenizers` library has it. */
import type { Matcher } from "./patterns.ts";

export const splitBehaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
export type SplitBehavior = (typeof splitBehaviors)[number];

/** A part of a text before the model sees it. */
export interface Part {
  readonly text: string;
  /** Whether it begins where the whole text begins: Metaspace may treat that one another way. */
  readonly isFirst: boolean;
}

interface Cut {
  begin: number;
  end: number;
  readonly isMatch: boolean;
}

/** The parts that are left, none of them empty. `isInverted` takes what lies between matches for the matches. */
export function splitPart(part: Part, matcher: Matcher, behavior: SplitBehavior, isInverted: boolean): Part[] {
  const { text, isFirst } = part;
  const cuts = cover(text, matcher, isInverted);
  const kept = behavior === "Removed" ? cuts.filter(({ isMatch }) => !isMatch) : merge(cuts, behavior);
  return kept.flatMap(({ begin, end }) =>
    begin === end ? [] : [{ text: text.slice(begin, end), isFirst: isFirst && begin === 0 }],
  );
}

/** Matches and what lies between them, in order; the last one may be empty. */
function cover(text: string, matcher: Matcher, isInverted: boolean): Cut[] {
  const cuts: Cut[] = [];
  let at = 0;
  for (const [begin, end] of matcher(text)) {
    if (at < begin) cuts.push({ begin: at, end: begin, isMatch: isInverted });
    cuts.push({ begin, end, isMatch: !isInverted });
    at = end;
  }
  cuts.push({ begin: at, end: text.length, isMatch: isInverted });
  return cuts;
}

function merge(cuts: readonly Cut[], behavior: Exclude<SplitBehavior, "Removed">): Cut[] {
  if (behavior === "Isolated") return [...cuts];
  const isBackwards = behavior === "MergedWithNext";
  const merged: Cut[] = [];
  let afterMatch = false;
  for (const cut of isBackwards ? cuts.toReversed() : cuts) {
    const last = merged.at(-1);
    const joins = behavior === "Contiguous" ? cut.isMatch === afterMatch : cut.isMatch && !afterMatch;
    afterMatch = cut.isMatch;
    if (!joins || !last) merged.push({ ...cut });
    else if (isBackwards) last.begin = cut.begin;
    else last.end = cut.end;
  }
  return isBackwards ? merged.toReversed() : merged;
}
