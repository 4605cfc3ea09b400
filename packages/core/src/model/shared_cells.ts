/** The rows that a pass over cells computes: one for each token, or one for tokens of beginnings that samples of a cell share. */
import { joinRows, ownRowsOf, rowsOfCell, type SharedRows, sharedRows } from "../cell/beginnings.ts";
import { type Cell, joinCells } from "../cell/tokens.ts";
import type { ModelConfig } from "./config.ts";
import { rotationKind } from "./rope_angles.ts";

type JoinedCells = ReturnType<typeof joinCells>;

/** Cells of one pass. */
export interface CellRows {
  /** As the samples have them. */
  readonly cells: JoinedCells;
  /** As they are computed; `bounds` counts rows. */
  readonly rows: JoinedCells;
  /** The rows of its own that each sequence has, cell by cell, and its image. */
  readonly own: readonly Pick<Cell, "cuSeqlens" | "images">[];
  /** Absent if every token has a row of its own. */
  readonly shared: SharedRows | undefined;
}

/** Joins cells for one pass. Each decides for itself whether it shares beginnings, so its bits do not depend on the others. */
export function rowsOfCells(
  config: ModelConfig,
  tasks: readonly { readonly cell: Cell; readonly sharesBeginnings?: boolean | undefined }[],
): CellRows {
  const own = tasks.map(({ cell }) => cell);
  const cells = joinCells(own);
  const found = tasks.map(({ cell, sharesBeginnings }) =>
    sharesBeginnings ? sharedRows(cell, rootsOf(config, cell)) : undefined,
  );
  if (!found.some(Boolean)) return { cells, rows: cells, own, shared: undefined };
  const parts = found.map((rows, n) => rows ?? ownRowsOf(own[n]));
  const shared = joinRows(parts);
  const bounds = [0];
  for (const { tokenOf_C } of parts) bounds.push(bounds[bounds.length - 1] + tokenOf_C.length);
  return {
    cells,
    rows: { ...rowsOfCell(cells, shared), bounds },
    own: parts.map(({ ownRows }, n) => ({ ...own[n], cuSeqlens: ownRows })),
    shared,
  };
}

/** Equal for sequences of a cell that may share their beginning: those that see the same image and are rotated alike. */
function rootsOf(config: ModelConfig, { cuSeqlens, images }: Cell): number[] {
  const roots = new Map<string, number>();
  return Array.from(cuSeqlens.subarray(1), (end, s) => {
    const name = `${rotationKind(config, end - cuSeqlens[s])} ${images?.rowOf[s] ?? -1}`;
    const root = roots.get(name) ?? roots.size;
    roots.set(name, root);
    return root;
  });
}
