/** Records of a kind: how many there are, and where the first of them stand. */

/** How many records are of a kind, with the first of them. */
export interface Finding {
  readonly records: number;
  readonly examples: readonly Example[];
}

/** A record of a kind. */
export interface Example {
  /** `data.jsonl, line 3` */
  readonly place: string;
  /** The place of the record that it is like. @default it is like none */
  readonly like?: string;
  /** What was found, or how the record begins. */
  readonly text: string;
}

/** Counts records of a kind. */
export interface FindingCounter {
  /** Counts one more; `example` is called for the first of them only. */
  add(example: () => Example): void;
  finding(): Finding;
}

const MAX_EXAMPLES = 5;
const MAX_CHARACTERS = 80;

export function findingCounter(): FindingCounter {
  let records = 0;
  const examples: Example[] = [];
  return {
    add(example) {
      records++;
      if (examples.length < MAX_EXAMPLES) examples.push(example());
    },
    finding: () => ({ records, examples }),
  };
}

/** Returns how a text begins, on one line and in whole characters. */
export function beginningOf(text: string, most: number = MAX_CHARACTERS): string {
  const line = text
    .slice(0, 4 * most)
    .replaceAll(/\s+/g, " ")
    .trim();
  const characters = Array.from(line);
  const isWhole = characters.length <= most && text.length <= 4 * most;
  return isWhole ? line : `${characters.slice(0, most).join("")}…`;
}
