/** The devices of all hosts as one pool: shares the cells of a step and adds up what all have computed. */
import type { Slot, TokenSet } from "@zerogate/core";
import { shareCells } from "@zerogate/mpi";
import { paramsDigest } from "@zerogate/run-files";
import { addLosses, checkStepSum, type DevicePool, labelledTokensOf, type ShareSum } from "@zerogate/workers";
import type { RunControl } from "../run/loop.ts";
import type { Team } from "./team.ts";

export interface TeamPoolOptions {
  readonly team: Team;
  /** Of this host. */
  readonly pool: DevicePool;
  /** Device workers of each rank: how fast they are before anything is measured. */
  readonly workers: readonly number[];
  /** Of a cell: with its time it says how fast a rank is. */
  readonly work: (tokens: TokenSet, samples: readonly number[]) => number;
  /** What this rank was asked for from outside. */
  readonly control: RunControl;
  readonly params: Float32Array;
  readonly tokens: { readonly train: TokenSet; readonly validation?: TokenSet | undefined };
  readonly maxCells: number;
}

/** Numbers that every rank adds to a step's sum behind the slot, in a row of its own. */
const ROW = { digest: 0, microseconds: 1, tokens: 2, fails: 3, stops: 4, saves: 5, length: 6 } as const;
/** Of a new measurement, in the running mean of a rank's speed. */
const SPEED_WEIGHT = 0.3;

/**
 * A pool whose steps and evaluations span all ranks; all of them call it alike. Its `control` says what any rank was asked
 * for, to all after the same step. With one rank both are what they were.
 */
export function openTeamPool(options: TeamPoolOptions): { pool: DevicePool; control: RunControl } {
  const { team, pool, workers, work, control, params, tokens, maxCells } = options;
  const { rank, size } = team;
  if (size === 1) return { pool, control };
  const stop = new AbortController();
  const saves = { count: 0 };
  const slotWords = params.length + 3 + maxCells;
  const values = new BigInt64Array(new SharedArrayBuffer(8 * (slotWords + size * ROW.length)));
  const slot: Slot = { sums: new Int32Array(values.buffer, 0, 2 * slotWords), parameters: params.length, maxCells };
  const sizeOf = ({ offsets }: TokenSet, samples: readonly number[]) =>
    samples.reduce((sum, sample) => sum + (offsets[sample + 1] ?? 0) - (offsets[sample] ?? 0), 0);

  /** Work per millisecond and worker, where a rank has been measured. */
  const rates: (number | undefined)[] = workers.map(() => undefined);
  const speeds = () => {
    const known = rates.filter((rate) => rate !== undefined);
    const usual = known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : 1;
    return workers.map((count, r) => count * (rates[r] ?? usual));
  };
  const learn = (rows: readonly BigInt64Array[], works: readonly number[], shares: readonly (readonly number[])[]) => {
    for (const [r, row] of rows.entries()) {
      const ms = Number(row[ROW.microseconds]) / 1000;
      team.expect(ms);
      const done = shares[r]?.reduce((sum, cell) => sum + (works[cell] ?? 0), 0) ?? 0;
      const rate = done / Math.max(ms, 1e-3) / (workers[r] ?? 1);
      const before = rates[r] ?? rate;
      if (rate > 0) rates[r] = before + SPEED_WEIGHT * (rate - before);
    }
  };

  const teamPool: DevicePool = {
    ...pool,
    async runStep(job) {
      const phase = `step ${job.step + 1}`;
      const labelled = labelledTokensOf(job, tokens.train);
      const works = job.cells.map((samples) => work(tokens.train, samples));
      const shares = shareCells(works, speeds());
      const mine = shares[rank] ?? [];
      const begin = performance.now();
      const computing = settled(pool.addCells(job, mine));
      const digest = BigInt.asIntN(64, BigInt(`0x${paramsDigest(params).slice(0, 16)}`)); // while the workers compute
      const { value: share, thrown } = await computing;
      const computed = performance.now();
      values.fill(0n);
      if (share) slot.sums.set(share.slot.sums);
      const ownRow = values.subarray(slotWords + rank * ROW.length, slotWords + (rank + 1) * ROW.length);
      ownRow[ROW.digest] = digest;
      ownRow[ROW.microseconds] = BigInt(Math.round(1000 * (computed - begin)));
      ownRow[ROW.tokens] = BigInt(mine.reduce((sum, cell) => sum + sizeOf(tokens.train, job.cells[cell] ?? []), 0));
      ownRow[ROW.fails] = thrown || share?.badCells.length ? 1n : 0n;
      ownRow[ROW.stops] = control.signal.aborted ? 1n : 0n;
      ownRow[ROW.saves] = BigInt(control.saveRequests.count);
      const summing = performance.now();
      await team.sum(phase, values);
      const summed = performance.now();

      const rows = Array.from({ length: size }, (_, r) =>
        values.slice(slotWords + r * ROW.length, slotWords + (r + 1) * ROW.length),
      );
      if (rows.some(({ [ROW.stops]: stops }) => stops !== 0n)) stop.abort();
      saves.count = rows.reduce((sum, { [ROW.saves]: count }) => sum + Number(count), 0);
      const apart = rows.flatMap(({ [ROW.digest]: its }, r) => (its === rows[0]?.[ROW.digest] ? [] : [`rank ${r}`]));
      if (apart.length > 0) {
        const are = "are not those of rank 0: its memory or processor is faulty, or the hosts differ";
        team.fail(new Error(`Cannot take ${phase}: the parameters of ${apart.join(", ")} ${are}`));
      }
      if (rows.some(({ [ROW.fails]: fails }) => fails !== 0n)) {
        const bad = await team.collect(phase, async () => {
          if (thrown) throw thrown.error;
          return share?.badCells ?? [];
        });
        const badCells = bad.flat().toSorted((a, b) => a.cell - b.cell);
        checkStepSum(job, slot, badCells, labelled); // throws
      }
      learn(rows, works, shares);
      checkStepSum(job, slot, [], labelled);
      const { perWorker = [], waitMs = 0, reduceMs = 0 }: Partial<ShareSum> = share ?? {};
      const hostTokens = rows.map((row) => Number(row[ROW.tokens]));
      return { slot, perWorker, hostTokens, waitMs, reduceMs: reduceMs + summed - summing };
    },

    async evaluateCells(job, numbers) {
      const set = job.set === "validation" ? (tokens.validation ?? tokens.train) : tokens.train;
      const works = numbers.map((cell) => work(set, job.cells[cell] ?? []));
      const mine = (shareCells(works, speeds())[rank] ?? []).map((at) => numbers[at] ?? 0);
      const parts = await team.collect("validation", async () => {
        const losses = await pool.evaluateCells(job, mine);
        return losses.map((loss, i) => [mine[i] ?? 0, loss] as const);
      });
      const byCell = new Map(parts.flat());
      return numbers.map((cell) => byCell.get(cell) ?? missing(`cell ${cell} of a validation`));
    },
    evaluate: async (job) => addLosses(await teamPool.evaluateCells(job, [...job.cells.keys()])),

    async generateAll(job) {
      const mine = [...job.prompts.keys()].filter((prompt) => prompt % size === rank);
      const parts = await team.collect("answers", () =>
        pool.generateAll({ ...job, prompts: mine.map((prompt) => job.prompts[prompt] ?? []) }),
      );
      return job.prompts.map((_, prompt) => {
        return parts[prompt % size]?.[Math.floor(prompt / size)] ?? missing(`the answer to prompt ${prompt}`);
      });
    },
  };
  return { pool: teamPool, control: { signal: stop.signal, saveRequests: saves } };
}

async function settled<T>(work: Promise<T>): Promise<{ value?: T; thrown?: { error: unknown } }> {
  try {
    return { value: await work };
  } catch (error) {
    return { thrown: { error } };
  }
}

function missing(what: string): never {
  throw new Error(`Cannot go on: no rank has computed ${what}`);
}
