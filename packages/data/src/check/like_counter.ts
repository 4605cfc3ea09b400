/** Counts records that are like others, by how they are. */
import { type Example, type Finding, findingCounter } from "./finding.ts";
import { type Likeness, likenesses } from "./likeness.ts";

/** Records that are like others, each counted once, as the closest that it is. */
export type LikeFindings = Readonly<Record<Likeness, Finding>>;

/** Counts them. */
export interface LikeCounter {
  add(how: Likeness, example: () => Example): void;
  findings(): LikeFindings;
}

export function likeCounter(): LikeCounter {
  const counters = { same: findingCounter(), normalised: findingCounter(), question: findingCounter() };
  return {
    add: (how, example) => counters[how].add(example),
    findings: () =>
      Object.fromEntries(likenesses.map((how) => [how, counters[how].finding()] as const)) as LikeFindings,
  };
}
