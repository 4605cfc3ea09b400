/** Encodes a text, and counts the ids that its beginnings have in common with it. */
import type { Section } from "./pipeline/added_tokens.ts";
import type { Pipeline } from "./pipeline/pipeline.ts";

/** A text in tokens, and how many of them each of some beginnings is, up to the first that differs. */
export interface EncodedBeginnings {
  readonly ids: number[];
  readonly lengths: readonly number[];
}

/** @param ends Where beginnings end, in characters. Each is encoded by itself, but what lies between added tokens only once. */
export function encodeBeginnings(pipeline: Pipeline, text: string, ends: readonly number[]): EncodedBeginnings {
  const ids: number[] = [];
  const parts = pipeline.sectionsOf(text).map((section) => {
    const begin = ids.length;
    for (const id of pipeline.idsOf(section)) ids.push(id);
    return { section, begin, end: ids.length };
  });
  const lengths = ends.map((end) => {
    let length = 0;
    for (const [i, section] of pipeline.sectionsOf(text.slice(0, end)).entries()) {
      const part = parts[i];
      if (part?.begin === length && isSame(part.section, section)) length = part.end;
      else {
        const own = pipeline.idsOf(section);
        const same = commonLength(own, ids, length);
        length += same;
        if (same < own.length) break;
      }
    }
    return length;
  });
  return { ids, lengths };
}

const isSame = (a: Section, b: Section): boolean =>
  "token" in a ? "token" in b && a.token === b.token : "text" in b && a.text === b.text && a.isFirst === b.isFirst;

function commonLength(own: readonly number[], ids: readonly number[], from: number): number {
  let same = 0;
  while (same < own.length && own[same] === ids[from + same]) same++;
  return same;
}
