/** How well choices answer ScienceQA's problems: accuracy by class, as its authors count, and what answers without looking get. */
import type { ScienceProblem } from "./problems.ts";

/** The classes in which accuracy is reported; a problem is of several. */
export const scienceClasses = ["NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "AVG"] as const;
/** One of them. */
export type ScienceClass = (typeof scienceClasses)[number];

/** Accuracy in one class. */
export interface ClassAccuracy {
  readonly name: ScienceClass;
  /** Problems of the class. */
  readonly problems: number;
  /** Percent; undefined if the class has no problem. */
  readonly accuracy: number | undefined;
}

const subjects: Readonly<Record<string, ScienceClass>> = {
  "natural science": "NAT",
  "social science": "SOC",
  "language science": "LAN",
};
const LOWER_GRADES = 6;
const ANSWER = /The answer is ([A-Z])\./g;

/** Returns the classes of a problem. */
export function classesOf({ subject, hint, image, grade }: ScienceProblem): readonly ScienceClass[] {
  const bySubject = subjects[subject];
  const year = Number(/\d+/.exec(grade)?.[0] ?? Number.NaN);
  return [
    ...(bySubject ? [bySubject] : []),
    ...(hint === "" ? [] : (["TXT"] as const)),
    ...(image === undefined ? [] : (["IMG"] as const)),
    ...(hint === "" && image === undefined ? (["NO"] as const) : []),
    ...(year <= LOWER_GRADES ? (["G1-6"] as const) : []),
    ...(year > LOWER_GRADES ? (["G7-12"] as const) : []),
    "AVG",
  ];
}

/** Returns the accuracy in each class. @param credit of each problem: 1 for a right choice, a chance for a guess. */
export function scienceAccuracy(problems: readonly ScienceProblem[], credit: readonly number[]): ClassAccuracy[] {
  const sums = new Map(scienceClasses.map((name) => [name, { problems: 0, credit: 0 }]));
  for (const [i, problem] of problems.entries()) {
    for (const name of classesOf(problem)) {
      const sum = sums.get(name)!;
      sum.problems++;
      sum.credit += credit[i]!;
    }
  }
  return scienceClasses.map((name) => {
    const { problems: count, credit: sum } = sums.get(name)!;
    return { name, problems: count, accuracy: count === 0 ? undefined : (100 * sum) / count };
  });
}

/** Returns 1 for each choice that is right, 0 for a wrong one or none. */
export function rightChoices(
  problems: readonly ScienceProblem[],
  choices: readonly (number | undefined)[],
): readonly number[] {
  return problems.map(({ answer }, i) => (choices[i] === answer ? 1 : 0));
}

/** Returns what a guess among the choices gets of each problem. */
export const chanceOf = (problems: readonly ScienceProblem[]): readonly number[] =>
  problems.map(({ choices }) => 1 / choices.length);

/** Returns the choice that is most often right in training among problems of as many choices. */
export function majorityChoices(
  training: readonly ScienceProblem[],
  problems: readonly ScienceProblem[],
): readonly (number | undefined)[] {
  const most = mostFrequent(training.map(({ choices, answer }) => [String(choices.length), answer]));
  return problems.map(({ choices }) => most.get(String(choices.length)));
}

/** Returns the choice whose text is most often the answer in training among problems of the same skill; the first if none is. */
export function sameSkillChoices(
  training: readonly ScienceProblem[],
  problems: readonly ScienceProblem[],
): readonly number[] {
  const counts = new Map<string, number>();
  const key = (skill: string, text: string | undefined) => JSON.stringify([skill, text]);
  for (const { skill, choices, answer } of training) {
    const name = key(skill, choices[answer]);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return problems.map(({ skill, choices }) => {
    const seen = choices.map((choice) => counts.get(key(skill, choice)) ?? 0);
    return seen.indexOf(Math.max(...seen));
  });
}

/** Returns the choice that an answer names in the authors' words exactly once; undefined if it fails to. */
export function namedChoice(answer: string): number | undefined {
  const found = [...answer.matchAll(ANSWER)];
  const letter = found.length === 1 ? found[0]?.[1] : undefined;
  return letter === undefined ? undefined : letter.charCodeAt(0) - "A".charCodeAt(0);
}

/** The most frequent number of each name, the lowest of several. */
function mostFrequent(pairs: readonly (readonly [string, number])[]): Map<string, number> {
  const counts = new Map<string, number[]>();
  for (const [name, value] of pairs) {
    const own = counts.get(name) ?? [];
    own[value] = (own[value] ?? 0) + 1;
    counts.set(name, own);
  }
  return new Map(
    [...counts].map(([name, own]) => {
      const filled = Array.from(own, (count) => count ?? 0);
      return [name, filled.indexOf(Math.max(...filled))];
    }),
  );
}
