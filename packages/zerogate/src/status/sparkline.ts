/** A curve in one line of text. */

const blocks = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/**
 * The values, oldest first, in at most `width` columns: more values than that are averaged in groups of equal size.
 * The lowest is the lowest block, the highest the full one; a flat curve runs in the middle. What is not finite is a `×`.
 */
export function sparkline(values: readonly number[], width: number): string {
  const columns = Math.min(width, values.length);
  const means = Array.from({ length: columns }, (_, i) => {
    const from = Math.floor((i * values.length) / columns);
    const to = Math.floor(((i + 1) * values.length) / columns);
    return values.slice(from, to).reduce((sum, value) => sum + value, 0) / (to - from);
  });
  const finite = means.filter(Number.isFinite);
  const lowest = Math.min(...finite);
  const span = Math.max(...finite) - lowest;
  const block = (mean: number) => {
    if (!Number.isFinite(mean)) return "×";
    return span === 0 ? blocks[3] : (blocks[Math.round(((mean - lowest) / span) * (blocks.length - 1))] ?? blocks[0]);
  };
  return means.map(block).join("");
}
