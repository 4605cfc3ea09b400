/** From the paths of a rule to states of which each byte leads to one (subset construction). */
import { InputError } from "../errors.ts";
import { type Budget, type Graph, nodesBefore, type Rule, spend } from "./graph.ts";

/** What bytes of a range do in a state: lead to another one, or into a rule, behind which `to` follows. */
interface Move {
  readonly low: number;
  readonly high: number;
  readonly rule: Rule | undefined;
  readonly to: number;
}

/** A state of a grammar. */
export interface State {
  readonly moves: Move[];
  /** Whether a text of its rule may end here. */
  readonly isEnd: boolean;
}

/** Adds the states of a rule. @returns the rule, or undefined if there is no text for it. */
export function addRule(states: State[], graph: Graph, start: number, end: number, budget: Budget): Rule | undefined {
  const alive = nodesBefore(graph, end);
  if (!alive[start]) return undefined;
  const numbers = new Map<string, number>();
  const open: { readonly nodes: readonly number[]; readonly moves: Move[] }[] = [];

  function stateOf(nodes: readonly number[]): number {
    const closed = closure(graph, nodes, alive);
    const key = closed.join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    spend(budget, "states");
    spend(budget, "steps", closed.length);
    const moves: Move[] = [];
    states.push({ moves, isEnd: closed.includes(end) });
    numbers.set(key, states.length - 1);
    open.push({ nodes: closed, moves });
    return states.length - 1;
  }

  const first = stateOf([start]);
  for (let next = open.pop(); next; next = open.pop()) {
    spend(budget, "steps", addMoves(graph, next.nodes, next.moves, alive, stateOf));
  }
  const bytes = new Uint8Array(256);
  for (const { low, high } of states[first]?.moves ?? []) bytes.fill(1, low, high + 1);
  return { start: first, first: bytes };
}

function closure({ empty }: Graph, nodes: readonly number[], alive: Uint8Array): number[] {
  const found = new Set(nodes.filter((node) => alive[node]));
  const open = [...found];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const to of empty[node] ?? []) {
      if (!alive[to] || found.has(to)) continue;
      found.add(to);
      open.push(to);
    }
  }
  return [...found].toSorted((a, b) => a - b);
}

/** Says what each byte does in the state of these nodes, and returns how much was compared. @throws InputError if it would lead two ways. */
function addMoves(
  graph: Graph,
  nodes: readonly number[],
  moves: Move[],
  alive: Uint8Array,
  stateOf: (nodes: readonly number[]) => number,
): number {
  const ranges = nodes.flatMap((node) => graph.ranges[node] ?? []).filter(({ to }) => alive[to]);
  const calls = nodes.flatMap((node) => graph.calls[node] ?? []).filter(({ to }) => alive[to]);
  const rules = new Set(calls.map(({ rule }) => rule));
  const cuts = intervals(ranges, [...rules]);
  for (const [low, high] of cuts) {
    const plain = ranges.filter((range) => range.low <= low && high <= range.high);
    const called = [...rules].filter((rule) => rule.first[low]);
    if (plain.length + called.length === 0) continue;
    if (called.length > 1 || (called.length === 1 && plain.length > 0))
      throw new InputError(
        "Cannot follow the JSON Schema",
        "alternatives of anyOf begin alike and go on in different ways: put what tells them apart first, such as a property with const",
      );
    const [rule] = called;
    const targets = rule ? calls.filter((call) => call.rule === rule) : plain;
    moves.push({ low, high, rule, to: stateOf(targets.map(({ to }) => to)) });
  }
  return cuts.length * (ranges.length + calls.length);
}

/** The largest ranges of bytes within which nothing changes. */
function intervals(
  ranges: readonly { readonly low: number; readonly high: number }[],
  rules: readonly Rule[],
): [number, number][] {
  const cuts = new Set([0]);
  for (const { low, high } of ranges) cuts.add(low).add(high + 1);
  for (const { first } of rules) {
    for (let byte = 1; byte < 256; byte++) if (first[byte] !== first[byte - 1]) cuts.add(byte);
  }
  const sorted = [...cuts].filter((cut) => cut < 256).toSorted((a, b) => a - b);
  return sorted.map((low, i) => [low, (sorted[i + 1] ?? 256) - 1]);
}
