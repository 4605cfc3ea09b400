/** A curve of any number of values in bounded memory: means of equally many neighbours, twice as many whenever room runs out. */

/** Even, and several times the columns that are ever drawn. */
const MAX_MEANS = 240;

export interface Curve {
  add(value: number): void;
  /** Means, oldest first; the last one is the last value itself. At most 241. */
  values(): number[];
}

export function createCurve(): Curve {
  let means: number[] = [];
  let groupSize = 1;
  let group = { sum: 0, count: 0, last: 0 };
  return {
    add(value) {
      if (group.count === groupSize) {
        means.push(group.sum / group.count);
        group = { sum: 0, count: 0, last: 0 };
      }
      if (means.length === MAX_MEANS) {
        means = Array.from({ length: MAX_MEANS / 2 }, (_, i) => ((means[2 * i] ?? 0) + (means[2 * i + 1] ?? 0)) / 2);
        groupSize *= 2;
      }
      group = { sum: group.sum + value, count: group.count + 1, last: value };
    },
    values: () => (group.count === 0 ? [] : [...means, group.last]),
  };
}
