/** Scores of cells under several adapters in one pass, with beginnings that sequences share computed once. */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { Cell } from "../cell/tokens.ts";
import { bindCellImages } from "./cell_images.ts";
import type { DecoderModel } from "./decoder.ts";
import { runLayers } from "./forward.ts";
import { promptsOfTasks } from "./gradient.ts";
import { labelledLoss } from "./labelled_loss.ts";
import { openPass } from "./pass.ts";
import { rowsOfCells } from "./shared_cells.ts";

/** A cell of a pass, and the adapter that scores it. */
export interface ScoredCell {
  /** Undefined: the base alone. */
  readonly adapter: AdapterState | undefined;
  readonly cell: Cell;
}

/**
 * Returns for each cell the negative log-likelihoods in nats of its labelled tokens, in the order of `cell.rows_R`, which may name a
 * token several times, with a label each. On engines that keep rows apart (docs/engines.md) a cell has the bits that it has in a
 * pass of its own.
 *
 * @example
 * const [ofBase, ofAdapter] = await scoreCells(model, [{ adapter: undefined, cell }, { adapter, cell }]);
 * const gains = ofBase.map((nll, r) => nll - ofAdapter[r]);
 */
export async function scoreCells(model: DecoderModel, scored: readonly ScoredCell[]): Promise<Float32Array[]> {
  const { engine } = model;
  return engine.arena(async () => {
    const { cells, rows, own, shared } = rowsOfCells(
      model.config,
      scored.map(({ cell }) => ({ cell, sharesBeginnings: true })),
    );
    const pass = openPass(model, cells, "packed", shared);
    const seen = scored.map(({ adapter }, n) => bindCellImages(model, adapter, own[n]));
    const prompts = promptsOfTasks(model, scored, seen, rows.bounds);
    const { y_TD } = runLayers(model, rows, pass, prompts, false);
    const loss = await labelledLoss(model, y_TD, { T: rows.ids_T.length, ...rows, prompts }, undefined);
    const nll_R = await engine.read(loss.nll_R);
    let row = 0;
    return scored.map(({ cell }) => nll_R.slice(row, (row += cell.rows_R.length)));
  });
}
