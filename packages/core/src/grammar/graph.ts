/** Texts as paths through a graph: along ranges of bytes, for nothing, or through another rule. */
import { InputError } from "../errors.ts";

/** A set of texts, none of them empty, that others may hold. */
export interface Rule {
  /** Its first state. */
  readonly start: number;
  /** Whether a text of it may begin with a byte. */
  readonly first: Uint8Array;
}

interface ByteRange {
  readonly low: number;
  readonly high: number;
  readonly to: number;
}

/** The paths of one rule; nodes are numbers. */
export interface Graph {
  readonly ranges: ByteRange[][];
  readonly empty: number[][];
  readonly calls: { readonly rule: Rule; readonly to: number }[][];
}

/** What all graphs of a grammar may have together, so that a small schema cannot ask for much. */
export interface Budget {
  nodes: number;
  states: number;
  steps: number;
}

export const newBudget = (): Budget => ({ nodes: 60_000, states: 20_000, steps: 10_000_000 });

/** Counts down. @throws InputError when nothing is left. */
export function spend(budget: Budget, what: keyof Budget, count = 1): void {
  budget[what] -= count;
  if (budget[what] < 0)
    throw new InputError(
      "Cannot follow the JSON Schema",
      `it needs more than ${newBudget()[what]} ${what}: use a smaller one`,
    );
}

export const newGraph = (): Graph => ({ ranges: [], empty: [], calls: [] });

export function addNode({ ranges, empty, calls }: Graph, budget: Budget): number {
  spend(budget, "nodes");
  ranges.push([]);
  empty.push([]);
  calls.push([]);
  return ranges.length - 1;
}

/** Nodes from which `end` can be reached. */
export function nodesBefore(graph: Graph, end: number): Uint8Array {
  const before: number[][] = graph.ranges.map(() => []);
  for (const [from, edges] of graph.ranges.entries()) for (const { to } of edges) before[to]?.push(from);
  for (const [from, list] of graph.empty.entries()) for (const to of list) before[to]?.push(from);
  for (const [from, edges] of graph.calls.entries()) for (const { to } of edges) before[to]?.push(from);
  const found = new Uint8Array(graph.ranges.length);
  found[end] = 1;
  const open = [end];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const from of before[node] ?? []) {
      if (found[from]) continue;
      found[from] = 1;
      open.push(from);
    }
  }
  return found;
}
