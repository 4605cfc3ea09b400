/** What a check of data found, in the words of the terminal and the page. */
import type { CheckedSet, DataCheck, Finding, LikeFindings } from "@zerogate/data";

/** Records of a kind, and what they are. */
export interface NamedFinding {
  readonly name: string;
  readonly finding: Finding;
}

/** Whether a run would take the data as they are, and measure on validation records what it was not trained on. */
export function isSound({ sets, leaks }: DataCheck): boolean {
  const isLeaking = leaks !== undefined && Object.values(leaks).some(({ records }) => records > 0);
  return !isLeaking && sets.every(({ bad, tokens }) => bad === 0 && (tokens?.problems.length ?? 0) === 0);
}

/** What validation shares with training, by how it is alike. */
export function leakFindings(leaks: LikeFindings): NamedFinding[] {
  return [
    { name: "trained on as they are", finding: leaks.same },
    { name: "trained on but for case, space and final punctuation", finding: leaks.normalised },
    { name: "of which the question is trained on, with another answer", finding: leaks.question },
  ];
}

/** What is odd about the records of a set; those of which there are none are left out. */
export function oddFindings(set: CheckedSet): NamedFinding[] {
  const { duplicates, emptyAnswers, specialTokens, controlCharacters, brokenEncoding } = set;
  const all: NamedFinding[] = [
    ...duplicateFindings(duplicates.withinFiles, "their file"),
    ...duplicateFindings(duplicates.acrossFiles, "a file before"),
    { name: "without an answer", finding: emptyAnswers },
    { name: "that spell a special token", finding: specialTokens },
    { name: "with control characters", finding: controlCharacters },
    { name: "with characters of a wrong encoding", finding: brokenEncoding },
  ];
  return all.filter(({ finding }) => finding.records > 0);
}

function duplicateFindings(like: LikeFindings, where: string): NamedFinding[] {
  return [
    { name: `equal to an earlier one of ${where}`, finding: like.same },
    { name: `equal to an earlier one of ${where} but for case, space and final punctuation`, finding: like.normalised },
    { name: `that ask what an earlier one of ${where} asks`, finding: like.question },
  ];
}

/** What a run would not take as it is, a line each. */
export function faults({ bad, problems, tokens }: CheckedSet): string[] {
  return [...(bad > 0 ? problems : []), ...(tokens?.problems ?? [])];
}
