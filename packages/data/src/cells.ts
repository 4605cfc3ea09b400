/**
 * How a batch is cut into cells, the unit that one worker computes at a time. The result depends on the samples alone: not on
 * their order in the batch, and not on how many workers there are.
 */
import type { SampleCost } from "@zerogate/core/training";
import { type Beginnings, beginningsOfBatch } from "./beginnings.ts";
import { firstFit } from "./first_fit.ts";

/** Sizes of samples, by index. */
export interface SampleSizes {
  /** Tokens of each sample of the token set. */
  readonly lengths: Int32Array;
  /** Targets of each sample. */
  readonly labelled: Int32Array;
  /** Cells compute what their samples begin alike with once. Absent: for each sample. */
  readonly beginnings?: Beginnings | undefined;
}

/** Sizes of the samples of a batch. */
interface BatchSizes extends Omit<SampleSizes, "beginnings"> {
  readonly beginnings?: Pick<Beginnings, "shared"> | undefined;
}

/** Cells of equal work, in number a multiple of `multiple`, so that as many devices finish together. */
export interface EvenCut {
  readonly multiple: number;
  readonly cost: SampleCost;
}

interface OpenCell {
  readonly samples: number[];
  room: number;
  cost: number;
}

/**
 * Packs samples into cells of at most `cellTokens` tokens by first-fit decreasing (Johnson 1973: at most 11/9 of the fewest
 * cells possible, plus a constant): longest sample first, ties by sample index, into the first cell with room.
 */
export function cutCells(batch: Iterable<number>, lengths: Int32Array, cellTokens: number): number[][] {
  const ordered = longestFirst(batch, lengths);
  const cellOf = firstFit(
    ordered.map((sample) => lengths[sample]!),
    cellTokens,
  );
  const cells: number[][] = [];
  for (const [i, cell] of cellOf.entries()) (cells[cell] ??= []).push(ordered[i]!);
  return cells;
}

/**
 * Cuts a batch into the fewest even cells that respect `cellTokens`, in number a multiple of `cut.multiple` (or one cell a
 * sample, if there are fewer samples). Longest sample first, ties by sample index, into the cell with the least work that
 * has room (Graham 1969: the largest cell holds at most 4/3 of the work of the best cut); then samples are exchanged as long
 * as that takes work from the largest cell, which with 32 samples in 8 cells leaves 1 % of it too much instead of 5 %. Cells
 * with the most work come first, so that nothing large begins last.
 */
export function cutEvenCells(
  batch: readonly number[],
  { beginnings, ...own }: SampleSizes,
  cellTokens: number,
  { multiple, cost }: EvenCut,
): number[][] {
  const sizes = { ...own, beginnings: beginnings && beginningsOfBatch(beginnings, batch) };
  const ordered = longestFirst(batch, sizes.lengths);
  const tokens = ordered.reduce((sum, sample) => sum + sizes.lengths[sample]!, 0);
  const fewest = Math.ceil(tokens / cellTokens);
  for (let count = roundUp(fewest, multiple); ; count += multiple) {
    const cells = fillEvenly(ordered, sizes, cellTokens, Math.min(count, batch.length), cost);
    if (!cells) continue;
    level(cells, sizes, cost);
    return mostWorkFirst(cells).map(({ samples }) => [...longestFirst(samples, sizes.lengths)]);
  }
}

/** Returns undefined if a sample finds no cell with room. */
function fillEvenly(
  ordered: Int32Array,
  sizes: BatchSizes,
  cellTokens: number,
  count: number,
  cost: SampleCost,
): OpenCell[] | undefined {
  const { lengths } = sizes;
  const cells: OpenCell[] = Array.from({ length: count }, () => ({ samples: [], room: cellTokens, cost: 0 }));
  for (const sample of ordered) {
    const length = lengths[sample]!;
    let least: { readonly cell: OpenCell; readonly cost: number } | undefined;
    for (const cell of cells) {
      if (cell.room < length && cell.samples.length > 0) continue;
      const withIt = cell.cost + addedCost(cost, sizes, sample, cell.samples);
      if (!least || withIt < least.cost) least = { cell, cost: withIt };
    }
    if (!least) return undefined;
    least.cell.samples.push(sample);
    least.cell.room -= length;
    least.cell.cost = least.cost;
  }
  return cells;
}

/** Work above the mean that is not worth an exchange, and exchanges at most. */
const [EVEN_ENOUGH, MAX_EXCHANGES] = [0.002, 200];

/** Takes work from the largest cell, by moving or exchanging samples, until none of the others can take any. */
function level(cells: OpenCell[], sizes: BatchSizes, cost: SampleCost): void {
  const mean = cells.reduce((sum, cell) => sum + cell.cost, 0) / cells.length;
  for (let exchanges = 0; exchanges < MAX_EXCHANGES; exchanges++) {
    const [largest, ...others] = mostWorkFirst(cells);
    if (!largest || largest.cost <= (1 + EVEN_ENOUGH) * mean) return;
    if (!others.toReversed().some((other) => exchange(largest, other, sizes, cost))) return;
  }
}

/** Makes the exchange after which the larger of both cells is the smallest; false if none makes it smaller. */
function exchange(from: OpenCell, to: OpenCell, sizes: BatchSizes, cost: SampleCost): boolean {
  const { lengths } = sizes;
  let best: { readonly give: number; readonly take: number | undefined; readonly costs: [number, number] } | undefined;
  let lowest = from.cost;
  for (const give of from.samples) {
    const left = without(from.samples, give);
    const costLeft = from.cost - addedCost(cost, sizes, give, left);
    for (const take of [undefined, ...to.samples]) {
      const tokens = lengths[give]! - (take === undefined ? 0 : lengths[take]!);
      if (tokens > to.room || -tokens > from.room) continue;
      const rest = take === undefined ? to.samples : without(to.samples, take);
      const taken = take === undefined ? 0 : addedCost(cost, sizes, take, left);
      const given = take === undefined ? 0 : addedCost(cost, sizes, take, rest);
      const costs: [number, number] = [costLeft + taken, to.cost - given + addedCost(cost, sizes, give, rest)];
      if (costs[0] >= from.cost || Math.max(...costs) >= lowest) continue;
      lowest = Math.max(...costs);
      best = { give, take, costs };
    }
  }
  if (!best) return false;
  const [fromCost, toCost] = best.costs;
  move(best.give, from, to, lengths);
  if (best.take !== undefined) move(best.take, to, from, lengths);
  from.cost = fromCost;
  to.cost = toCost;
  return true;
}

/** All but one: a batch of a mixture may hold a sample several times. */
const without = (samples: readonly number[], one: number) => samples.toSpliced(samples.indexOf(one), 1);

function move(sample: number, from: OpenCell, to: OpenCell, lengths: Int32Array): void {
  from.samples.splice(from.samples.indexOf(sample), 1);
  to.samples.push(sample);
  from.room += lengths[sample]!;
  to.room -= lengths[sample]!;
}

/** Ties stay in the order of filling, which the order of the batch does not decide. */
function mostWorkFirst(cells: readonly OpenCell[]): OpenCell[] {
  return cells.toSorted((a, b) => b.cost - a.cost);
}

/** Returns the multiplications of a sample's training pass: its tokens, its square of attention and its labelled tokens. */
export function sampleCost({ token, pair, label }: SampleCost, tokens: number, labelled: number): number {
  return tokens * token + tokens * tokens * pair + labelled * label;
}

/** Returns the multiplications that a sample adds to a cell: those of what it begins alike with as one of the others are theirs. */
function addedCost(cost: SampleCost, sizes: BatchSizes, sample: number, others: readonly number[]): number {
  const { lengths, labelled, beginnings } = sizes;
  const own = sampleCost(cost, lengths[sample]!, labelled[sample]!);
  if (!beginnings) return own;
  let most = 0;
  for (const other of others) most = Math.max(most, beginnings.shared(sample, other));
  return own - sampleCost(cost, most, 0);
}

/** Returns the multiplications of a cell's training pass. */
export function cellCost(cost: SampleCost, sizes: BatchSizes, samples: readonly number[]): number {
  return samples.reduce((sum, sample, i) => sum + addedCost(cost, sizes, sample, samples.slice(0, i)), 0);
}

/**
 * Returns a number of cells that no batch of `batchSize` of these samples exceeds. Any two cells of a first-fit cut together
 * hold more than `cellTokens`; and a sample that finds room in none of an even cut's cells leaves each of them more than half
 * full, because samples come longest first. So 2 · tokens / cellTokens + 1 is never exceeded, rounded up to the multiple.
 */
export function mostCells(lengths: Int32Array, batchSize: number, cellTokens: number, multiple = 1): number {
  const longest = lengths.toSorted().subarray(-batchSize);
  const tokens = longest.reduce((sum, length) => sum + length, 0);
  return Math.min(longest.length, roundUp(Math.floor((2 * tokens) / cellTokens) + 1, multiple));
}

const roundUp = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;

function longestFirst(batch: Iterable<number>, lengths: Int32Array): Int32Array {
  return Int32Array.from(batch).toSorted((a, b) => lengths[b]! - lengths[a]! || a - b);
}
