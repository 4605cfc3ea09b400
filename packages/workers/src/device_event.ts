/** What happens to workers, as the log and the display show it. */

export type DeviceEvent =
  | { readonly type: "worker-started"; readonly device: number; readonly engineName: string; readonly loadMs: number }
  | {
      readonly type: "worker-died";
      readonly device: number;
      readonly reason: string;
      readonly lastOperation: string;
      /** False: it died too often. */
      readonly restarts: boolean;
    }
  | {
      /** Cells (or prompts) of a dead worker that are dealt again; `of` names the whole, for example `step 12`. */
      readonly type: "cells-redone";
      readonly device: number;
      readonly of: string;
      readonly cells: readonly number[];
    }
  | {
      /** A cell (or prompt) that threw, with the worker alive; it is tried once more. */
      readonly type: "cell-failed";
      readonly device: number;
      readonly of: string;
      readonly cell: number;
      readonly reason: string;
    };
