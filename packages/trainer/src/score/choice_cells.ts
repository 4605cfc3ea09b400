/** Questions with choices as cells of tokens: a sequence for each choice, without its last token, which predicts nothing. */
import type { Cell } from "@zerogate/core";

/** Tokens of a context and an answer, of which the last `scored` are the answer. */
export interface EncodedChoice {
  readonly ids: readonly number[];
  readonly scored: number;
}

/** A cell, and which of its rows are which choice. */
export interface ChoiceCell {
  readonly cell: Cell;
  /** The rows of each choice, in the order of `choices`. */
  readonly rows: readonly (readonly [begin: number, end: number])[];
  /** Places in the list that cells were made of. */
  readonly choices: readonly (readonly [item: number, choice: number])[];
}

/**
 * Packs the choices of items into cells of at most `cellTokens` tokens: the choices of an item together, so that they share their
 * beginning; one that is longer has a cell of its own. Choices that differ in their last token alone are one sequence.
 */
export function choiceCells(items: readonly (readonly EncodedChoice[])[], cellTokens: number): ChoiceCell[] {
  const cells: ChoiceCell[] = [];
  let open: Sequence[] = [];
  let tokens = 0;
  const close = () => {
    if (open.length > 0) cells.push(cellOf(open));
    open = [];
    tokens = 0;
  };
  for (const [item, choices] of items.entries()) {
    const own = sequencesOf(item, choices);
    const ownTokens = own.reduce((sum, { ids }) => sum + ids.length, 0);
    const parts = ownTokens > cellTokens ? own.map((sequence) => [sequence]) : [own];
    for (const part of parts) {
      const more = part.reduce((sum, { ids }) => sum + ids.length, 0);
      if (tokens + more > cellTokens) close();
      open.push(...part);
      tokens += more;
    }
  }
  close();
  return cells;
}

/** What is computed once, and the choices that it scores. */
interface Sequence {
  readonly ids: readonly number[];
  readonly choices: { readonly place: readonly [item: number, choice: number]; readonly labels: readonly number[] }[];
}

function sequencesOf(item: number, choices: readonly EncodedChoice[]): Sequence[] {
  const byIds = new Map<string, Sequence>();
  for (const [choice, { ids, scored }] of choices.entries()) {
    const computed = ids.slice(0, -1);
    const name = computed.join();
    const sequence = byIds.get(name) ?? { ids: computed, choices: [] };
    byIds.set(name, sequence);
    sequence.choices.push({ place: [item, choice], labels: ids.slice(ids.length - scored) });
  }
  return [...byIds.values()];
}

function cellOf(sequences: readonly Sequence[]): ChoiceCell {
  const ids = sequences.flatMap((sequence) => sequence.ids);
  const positions = sequences.flatMap((sequence) => [...sequence.ids.keys()]);
  const ends = [0];
  const [rows_R, labels_R, rows, choices]: [number[], number[], [number, number][], (readonly [number, number])[]] = [
    [],
    [],
    [],
    [],
  ];
  for (const sequence of sequences) {
    const end = (ends.at(-1) ?? 0) + sequence.ids.length;
    ends.push(end);
    for (const { place, labels } of sequence.choices) {
      rows.push([rows_R.length, rows_R.length + labels.length]);
      choices.push(place);
      for (const [i, label] of labels.entries()) {
        rows_R.push(end - labels.length + i);
        labels_R.push(label);
      }
    }
  }
  const cell = {
    ids_T: Int32Array.from(ids),
    positions_T: Int32Array.from(positions),
    cuSeqlens: Int32Array.from(ends),
    rows_R: Int32Array.from(rows_R),
    labels_R: Int32Array.from(labels_R),
  };
  return { cell, rows, choices };
}
