/** The error of a cell that no worker survives. */
import type { DeviceDiedError } from "./device.ts";

/** Two workers ended while they computed the same cell (or prompt), so a third is not risked. Parameters are untouched. */
export class DeadlyCellError extends Error {
  override readonly name = "DeadlyCellError";
  /** For example `step 12`. */
  readonly of: string;
  /** Number of the cell within it. */
  readonly cell: number;
  readonly samples: readonly number[];

  constructor(of: string, cell: number, samples: readonly number[], cause: DeviceDiedError) {
    const what = samples.length > 0 ? `cell ${cell} (samples ${samples.join(", ")})` : `prompt ${cell}`;
    const last = `${cause.reason}, at ${cause.lastOperation}`;
    super(`Cannot finish ${of}: ${what} ended two workers, last by: ${last}`, { cause });
    this.of = of;
    this.cell = cell;
    this.samples = samples;
  }
}
