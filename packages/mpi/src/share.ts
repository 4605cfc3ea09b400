/** Which rank computes which cells of a step. It decides how long the step takes, never what comes out of it. */

/**
 * Deals cells to ranks so that all end at about the same time: the largest cell first, to the rank that would end it soonest.
 * A pure function, so that every rank finds the same answer without asking.
 *
 * @param sizes of each cell, in any measure of its work
 * @param speeds measured work per second of each rank; only their ratios count
 * @returns for each rank its cells, the largest first
 */
export function shareCells(sizes: readonly number[], speeds: readonly number[]): number[][] {
  if (speeds.length === 0 || !speeds.every((speed) => speed > 0 && Number.isFinite(speed))) {
    throw new RangeError(`Cannot share cells: speeds are ${speeds.join(", ")}, one or more above 0 are needed`);
  }
  const shares = speeds.map((speed) => ({ cells: [] as number[], work: 0, speed }));
  const largestFirst = sizes
    .map((size, cell) => ({ size, cell }))
    .toSorted((a, b) => b.size - a.size || a.cell - b.cell);
  for (const { size, cell } of largestFirst) {
    const soonest = shares.reduce((a, b) => ((b.work + size) / b.speed < (a.work + size) / a.speed ? b : a));
    soonest.cells.push(cell);
    soonest.work += size;
  }
  return shares.map(({ cells }) => cells);
}
