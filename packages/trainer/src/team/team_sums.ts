/** Memory for the sums of one call over all ranks: a slot for each of its steps, then a row for each rank. */
import type { Slot } from "@zerogate/core/training";
import type { DeviceJob, Step } from "@zerogate/workers";

/** Numbers that every rank adds to the sums of a call behind the slots, in a row of its own. */
export const ROW = { digest: 0, microseconds: 1, tokens: 2, fails: 3, stops: 4, saves: 5, length: 6 } as const;

export interface TeamSumsOptions {
  /** Number of ranks. */
  readonly size: number;
  readonly jobs: readonly DeviceJob[];
  readonly maxCells: number;
}

export interface TeamSums {
  /** Returns empty slots, one a step, and empty rows, one a rank. */
  layOut(steps: readonly Step[]): { readonly slots: readonly Slot[]; readonly rows: readonly BigInt64Array[] };
  /** What the ranks add up: all that `layOut` returned for these steps. */
  values(steps: readonly Step[]): BigInt64Array<SharedArrayBuffer>;
}

export function createTeamSums({ size, jobs, maxCells }: TeamSumsOptions): TeamSums {
  const parametersOf = ({ job }: Step) => jobs.find(({ id }) => id === job)?.layout.length ?? 0;
  const wordsOf = (parameters: number) => parameters + 3 + maxCells;
  const most = jobs.reduce((sum, { layout }) => sum + wordsOf(layout.length), 0) + size * ROW.length;
  const values = new BigInt64Array(new SharedArrayBuffer(8 * most));
  const slotWords = (steps: readonly Step[]) => steps.reduce((sum, step) => sum + wordsOf(parametersOf(step)), 0);
  return {
    values: (steps) => values.subarray(0, slotWords(steps) + size * ROW.length),
    layOut(steps) {
      values.fill(0n);
      let offset = 0;
      const slots = steps.map((step): Slot => {
        const parameters = parametersOf(step);
        const sums = new Int32Array(values.buffer, 8 * offset, 2 * wordsOf(parameters));
        offset += wordsOf(parameters);
        return { sums, parameters, maxCells };
      });
      const rows = Array.from({ length: size }, (_, r) =>
        values.subarray(offset + r * ROW.length, offset + (r + 1) * ROW.length),
      );
      return { slots, rows };
    },
  };
}
