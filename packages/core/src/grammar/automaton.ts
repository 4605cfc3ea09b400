/** Where a text stands in a grammar: a state, and the states that go on when its rule has ended. Each byte leads to one such place. */
import { InputError } from "../errors.ts";
import type { Texts } from "./rules.ts";

/** A place in a text. Equal places are one object. */
export interface TextPlace {
  readonly state: number;
  /** Where the text goes on when the rule of this state has ended. */
  readonly behind: TextPlace | undefined;
  /** The fewest bytes with which the text can end. */
  readonly rest: number;
  readonly inside: Map<number, TextPlace>;
}

/** A grammar in the bytes that a vocabulary has. */
export interface Automaton {
  readonly start: TextPlace;
  /** The place behind a byte, or undefined if it may not follow. */
  step(place: TextPlace, byte: number): TextPlace | undefined;
  /** Whether a text may end here. */
  isEnd(place: TextPlace): boolean;
  /** Whether a byte may follow. */
  goesOn(place: TextPlace): boolean;
}

/** Places that are kept. */
const MOST_PLACES = 200_000;

/**
 * Opens a grammar.
 *
 * @param single Bytes that some token is alone: they alone count for how soon a text can end, so that it always can.
 * @throws InputError if no text can be written with them.
 */
export function openAutomaton({ states, start }: Texts, single: Uint8Array): Automaton {
  const rest = shortest(states, single);
  const classes = byteClasses(states);
  const count = Math.max(...classes) + 1;
  // What a byte does in a state: -1 nothing, another state, or below -1 a call.
  const table = new Int32Array(states.length * count).fill(-1);
  const calls: { readonly begin: number; readonly behind: number }[] = [];
  for (const [state, { moves }] of states.entries()) {
    for (const { low, high, rule, to } of moves) {
      const ends = (rest[to] ?? Infinity) < Infinity && (!rule || (rest[rule.start] ?? Infinity) < Infinity);
      if (!ends) continue;
      if (rule) calls.push({ begin: rule.start, behind: to });
      for (let byte = low; byte <= high; byte++)
        table[state * count + (classes[byte] ?? 0)] = rule ? -1 - calls.length : to;
    }
  }

  const roots = new Map<number, TextPlace>();
  let places = 0;
  function placeOf(state: number, behind: TextPlace | undefined): TextPlace {
    const known = behind?.inside ?? roots;
    const found = known.get(state);
    if (found) return found;
    if (++places > MOST_PLACES) {
      roots.clear(); // texts that are being written keep theirs
      places = 0;
    }
    const place = {
      state,
      behind,
      rest: (rest[state] ?? 0) + (behind?.rest ?? 0),
      inside: new Map<number, TextPlace>(),
    };
    known.set(state, place);
    return place;
  }
  const isEndOf = (state: number) => states[state]?.isEnd ?? false;
  const isEnd = (place: TextPlace): boolean => isEndOf(place.state) && (!place.behind || isEnd(place.behind));

  if (rest[start] === Infinity)
    throw new InputError("Cannot follow the JSON Schema", "the tokenizer has no tokens for the signs that it needs");
  return {
    start: placeOf(start, undefined),
    step(place, byte) {
      const column = classes[byte] ?? 0;
      for (let at: TextPlace | undefined = place; at; ) {
        const action: number = table[at.state * count + column] ?? -1;
        if (action >= 0) return action === at.state ? at : placeOf(action, at.behind);
        if (action < -1) {
          const call = calls[-2 - action];
          if (!call) return undefined;
          at = placeOf(call.begin, placeOf(call.behind, at.behind));
        } else at = isEndOf(at.state) ? at.behind : undefined;
      }
      return undefined;
    },
    isEnd,
    goesOn(place) {
      for (let at: TextPlace | undefined = place; at; at = isEndOf(at.state) ? at.behind : undefined) {
        if (table.subarray(at.state * count, (at.state + 1) * count).some((action) => action !== -1)) return true;
      }
      return false;
    },
  };
}

/** The fewest bytes from each state to the end of its rule. Rules stand before those that hold them. */
function shortest(states: Texts["states"], single: Uint8Array): Float64Array {
  const rest = new Float64Array(states.length).fill(Infinity);
  const before: number[][] = states.map(() => []);
  for (const [from, { moves }] of states.entries()) {
    for (const { rule, to } of moves) {
      before[to]?.push(from);
      if (rule) before[rule.start]?.push(from);
    }
  }
  const costOf = ({ low, high, rule, to }: Texts["states"][number]["moves"][number]): number => {
    const isWritable = rule !== undefined || single.subarray(low, high + 1).includes(1);
    return isWritable ? (rest[to] ?? Infinity) + (rule ? (rest[rule.start] ?? Infinity) : 1) : Infinity;
  };
  const open = states.flatMap(({ isEnd }, state) => (isEnd ? [state] : []));
  for (const state of open) rest[state] = 0;
  for (let next = 0; next < open.length; next++) {
    for (const from of before[open[next] ?? 0] ?? []) {
      const least = Math.min(...(states[from]?.moves ?? []).map(costOf));
      if (least >= (rest[from] ?? 0)) continue;
      rest[from] = least;
      open.push(from);
    }
  }
  return rest;
}

/** Numbers for bytes; those that do the same in every state share one. */
function byteClasses(states: Texts["states"]): Uint8Array {
  const cuts = new Uint8Array(257);
  for (const { moves } of states) {
    for (const { low, high } of moves) {
      cuts[low] = 1;
      cuts[high + 1] = 1;
    }
  }
  let count = 0;
  return Uint8Array.from({ length: 256 }, (_, byte) => (byte > 0 && cuts[byte] ? ++count : count));
}
