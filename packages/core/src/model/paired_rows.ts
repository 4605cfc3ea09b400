/** The order of rotated rows in Meta's own files and in GGUF: pairs that rotate are neighbours, in transformers half a head apart. */

/** Rows 2j and 2j + 1 of a head of `d` rows are rows j and j + d/2 in transformers. */
export function pairedRows(d: number): (stored: number) => number {
  return (stored) => {
    const row = stored % d;
    return stored - row + (row & 1) * (d / 2) + (row >> 1);
  };
}
