/**
 * Tokens of a cell that need computing once: samples that begin alike (a template's preamble, a system prompt, the same
 * examples) have the same activations up to the token in which they differ, because a token sees none behind it.
 *
 *   tokens   a b c d | a b e      rows   a b c d e      rowOf_T   0 1 2 3 0 1 4      skips_S   0 2
 *
 * Shape suffixes: T tokens as they lie in the samples · C rows that are computed · S samples.
 */
import type { Cell } from "./tokens.ts";

/** How the tokens of a pass and the rows that are computed for them belong together. */
export interface SharedRows {
  /** The row of each token. */
  readonly rowOf_T: Int32Array;
  /** The first token of each row: ascending. */
  readonly tokenOf_C: Int32Array;
  /** Leading tokens of each sample whose rows belong to samples before it. */
  readonly skips_S: Int32Array;
  /** Rows of its own that each sample has, as offsets: those of sample s begin at `ownRows[s]`. */
  readonly ownRows: Int32Array;
}

/** Share of its tokens that a cell may still have to compute: beyond it copying rows for attention costs what is saved. */
const WORTH = 0.9;

/**
 * Finds the rows of a cell. Samples share their beginnings if their `roots` are equal: the same image and rotation. Returns
 * undefined if less than a tenth of the tokens would be left out.
 */
export function sharedRows(
  { ids_T, cuSeqlens }: Pick<Cell, "ids_T" | "cuSeqlens">,
  roots_S: readonly number[],
): SharedRows | undefined {
  const T = ids_T.length;
  const S = cuSeqlens.length - 1;
  const rowOf_T = new Int32Array(T);
  const tokenOf_C: number[] = [];
  const skips_S = new Int32Array(S);
  const ownRows = new Int32Array(S + 1);
  // Rows by the row before them and their token: a tree of all beginnings, with a root of each kind.
  const rows = new Map<number, number>();
  for (let s = 0; s < S; s++) {
    let before = T + roots_S[s];
    for (let t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
      const place = before * 2 ** 32 + ids_T[t];
      let row = rows.get(place);
      if (row === undefined) {
        row = tokenOf_C.push(t) - 1;
        rows.set(place, row);
      } else skips_S[s]++;
      before = rowOf_T[t] = row;
    }
    ownRows[s + 1] = tokenOf_C.length;
  }
  if (tokenOf_C.length > WORTH * T) return undefined;
  return { rowOf_T, tokenOf_C: Int32Array.from(tokenOf_C), skips_S, ownRows };
}

/** A row for each token of a cell that shares none. */
export function ownRowsOf({ ids_T, cuSeqlens }: Pick<Cell, "ids_T" | "cuSeqlens">): SharedRows {
  const each = Int32Array.from(ids_T.keys());
  return { rowOf_T: each, tokenOf_C: each, skips_S: new Int32Array(cuSeqlens.length - 1), ownRows: cuSeqlens };
}

/** The rows of cells back to back. */
export function joinRows(cells: readonly SharedRows[]): SharedRows {
  let [T, C] = [0, 0];
  const parts = cells.map(({ rowOf_T, tokenOf_C, skips_S, ownRows }) => {
    const [token, row] = [T, C];
    T += rowOf_T.length;
    C += tokenOf_C.length;
    const rows = rowOf_T.map((own) => row + own);
    return {
      rows,
      tokens: tokenOf_C.map((own) => token + own),
      skips_S,
      ends: ownRows.subarray(1).map((own) => row + own),
    };
  });
  return {
    rowOf_T: Int32Array.from(parts.flatMap(({ rows }) => [...rows])),
    tokenOf_C: Int32Array.from(parts.flatMap(({ tokens }) => [...tokens])),
    skips_S: Int32Array.from(parts.flatMap(({ skips_S }) => [...skips_S])),
    ownRows: Int32Array.of(0, ...parts.flatMap(({ ends }) => [...ends])),
  };
}

/** The cell with a row for each beginning: labelled tokens name their rows, which may repeat. */
export function rowsOfCell<Of extends Omit<Cell, "images">>(cell: Of, { rowOf_T, tokenOf_C }: SharedRows): Of {
  return {
    ...cell,
    ids_T: tokenOf_C.map((t) => cell.ids_T[t]),
    positions_T: tokenOf_C.map((t) => cell.positions_T[t]),
    rows_R: cell.rows_R.map((t) => rowOf_T[t]),
  };
}
