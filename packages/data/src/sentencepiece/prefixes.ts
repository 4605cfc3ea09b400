/** Finding pieces at a place of a text. */

/** Returns the length of the longest of some texts that stands at `at`; 0 if none does. */
export type PrefixFinder = (text: string, at: number) => number;

/** All beginnings of some texts, with what belongs to those that are whole: a trie as one map. */
export type Beginnings<T> = ReadonlyMap<string, T | undefined>;

export function beginningsOf<T>(texts: Iterable<readonly [text: string, value: T]>): Beginnings<T> {
  const beginnings = new Map<string, T | undefined>();
  for (const [text, value] of texts) {
    for (let end = 1; end < text.length; end++) {
      const part = text.slice(0, end);
      if (!beginnings.has(part)) beginnings.set(part, undefined);
    }
    beginnings.set(text, value);
  }
  return beginnings;
}

export function createPrefixFinder(texts: readonly string[]): PrefixFinder {
  const beginnings = beginningsOf(texts.map((text) => [text, true] as const));
  return (text, at) => {
    let longest = 0;
    for (let length = 1; at + length <= text.length; length++) {
      const part = text.slice(at, at + length);
      if (!beginnings.has(part)) break;
      if (beginnings.get(part)) longest = length;
    }
    return longest;
  };
}
