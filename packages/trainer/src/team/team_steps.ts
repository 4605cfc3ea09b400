/** Steps over all ranks: each computes a share of the cells, and the sums of all are added up on all. */
import type { SampleTokens } from "@zerogate/core/node";
import { type Slot, type StepArithmetic, tailOf } from "@zerogate/core/training";
import { shareCells } from "@zerogate/mpi";
import { paramsDigest } from "@zerogate/run-files";
import {
  checkStepSum,
  type DeviceJob,
  type DevicePool,
  labelledTokensOf,
  type ShareSum,
  type Step,
  type StepSum,
} from "@zerogate/workers";
import type { RunContext } from "../run/context.ts";
import type { RankSpeeds } from "./rank_speeds.ts";
import type { Team } from "./team.ts";
import { createTeamSums, ROW } from "./team_sums.ts";

export interface TeamPoolOptions {
  readonly team: Team;
  /** Of this host. */
  readonly pool: DevicePool;
  /** Of the pool. */
  readonly jobs: readonly DeviceJob[];
  /** Device workers of each rank: how fast they are before anything is measured. */
  readonly workers: readonly number[];
  /** Of a cell: with its time it says how fast a rank is. */
  readonly work: (tokens: SampleTokens, samples: readonly number[]) => number;
  /** What this rank was asked for from outside. */
  readonly asked: Pick<RunContext, "signal" | "saveRequests">;
  readonly tokens: { readonly train: SampleTokens; readonly validation?: SampleTokens | undefined };
  readonly maxCells: number;
  readonly arithmetic: StepArithmetic;
}

export interface TeamStepsOptions extends Omit<TeamPoolOptions, "workers"> {
  readonly speeds: RankSpeeds;
  /** Gets what the ranks were asked for, the same on all, after each call. */
  readonly onAsked: (any: { readonly stops: boolean; readonly saves: number }) => void;
}

/** One cell of one of the steps of a call. */
interface SharedCell {
  readonly step: Step;
  readonly number: number;
  readonly samples: readonly number[];
}

/** Returns `runSteps` of a team's pool. */
export function createTeamSteps(options: TeamStepsOptions): DevicePool["runSteps"] {
  const { team, pool, jobs, maxCells, arithmetic, work, asked, tokens, speeds, onAsked } = options;
  const { rank, size } = team;
  const sums = createTeamSums({ size, jobs, maxCells });

  return async (steps) => {
    const phase = phaseOf(steps, options);
    const labelled = steps.map((step) => labelledTokensOf(step, tokens.train));
    const cells = steps.flatMap((step) => step.cells.map((samples, number): SharedCell => ({ step, number, samples })));
    const works = cells.map(({ samples }) => work(tokens.train, samples));
    const shares = shareCells(works, speeds.now());
    const mine = (shares[rank] ?? []).flatMap((at) => cells.slice(at, at + 1));
    const begin = performance.now();
    const computing = settled(pool.addCells(steps.map((step) => ({ step, numbers: numbersOf(step, mine) }))));
    const digest = digestOf(steps, options); // while the workers compute
    const { value: own, thrown } = await computing;
    const computed = performance.now();
    const { slots, rows } = sums.layOut(steps);
    for (const [n, share] of own?.entries() ?? []) {
      const parts = share.slots.map((slot) => slot.sums);
      if (parts.length > 0) arithmetic.addSums((slots[n] as Slot).sums, parts);
    }
    const row = rows[rank] as BigInt64Array;
    row[ROW.digest] = digest;
    row[ROW.microseconds] = BigInt(Math.round(1000 * (computed - begin)));
    row[ROW.tokens] = BigInt(mine.reduce((sum, { samples }) => sum + tokensOf(tokens.train, samples), 0));
    row[ROW.fails] = thrown || own?.some(({ badCells }) => badCells.length > 0) ? 1n : 0n;
    row[ROW.stops] = asked.signal.aborted ? 1n : 0n;
    row[ROW.saves] = BigInt(asked.saveRequests.count);
    const summing = performance.now();
    await team.sum(phase, sums.values(steps));
    const summed = performance.now();

    onAsked({
      stops: rows.some(({ [ROW.stops]: stops }) => stops !== 0n),
      saves: rows.reduce((sum, { [ROW.saves]: count }) => sum + Number(count), 0),
    });
    checkParams(team, phase, rows);
    const isBad = rows.some(({ [ROW.fails]: fails }) => fails !== 0n);
    const badCells = isBad ? await collectBadCells(team, phase, own, thrown) : steps.map(() => []);
    speeds.learn(
      rows.map(({ [ROW.microseconds]: microseconds }) => Number(microseconds) / 1000),
      shares.map((share) => share.reduce((sum, at) => sum + (works[at] ?? 0), 0)),
    );
    const hostTokens = rows.map((numbers) => Number(numbers[ROW.tokens]));
    const checked = steps.map(async (step, n): Promise<StepSum> => {
      const slot = slots[n] as Slot;
      checkStepSum(step, tailOf([slot]), badCells[n] ?? [], labelled[n] ?? 0);
      const {
        perDevice = [],
        waitMs = 0,
        reduceMs = 0,
        startedAt = 0,
        endedAt = 0,
      }: Partial<ShareSum> = own?.[n] ?? {};
      const times = { waitMs, reduceMs: reduceMs + summed - summing, startedAt, endedAt };
      return { slots: [slot], perDevice, hostTokens, ...times };
    });
    return Promise.allSettled(checked);
  };
}

/** `step 12`, and of which job if there are several. */
function phaseOf(steps: readonly Step[], { jobs }: TeamStepsOptions): string {
  return steps.map(({ step, job }) => `step ${step + 1}${jobs.length > 1 ? ` of ${job}` : ""}`).join(", ");
}

function numbersOf(step: Step, cells: readonly SharedCell[]): number[] {
  return cells.filter((cell) => cell.step === step).map(({ number }) => number);
}

/** The parameters that the steps start from, as one number that differs if any of them do. */
function digestOf(steps: readonly Step[], { jobs }: TeamStepsOptions): bigint {
  const digests = jobs
    .filter(({ id }) => steps.some(({ job }) => job === id))
    .map(({ params }) => BigInt(`0x${paramsDigest(params).slice(0, 16)}`));
  return BigInt.asIntN(
    64,
    digests.reduce((a, b) => a + b, 0n),
  );
}

function checkParams(team: Team, phase: string, rows: readonly BigInt64Array[]): void {
  const apart = rows.flatMap(({ [ROW.digest]: its }, r) => (its === rows[0]?.[ROW.digest] ? [] : [`rank ${r}`]));
  if (apart.length === 0) return;
  const are = "are not those of rank 0: its memory or processor is faulty, or the hosts differ";
  team.fail(new Error(`Cannot take ${phase}: the parameters of ${apart.join(", ")} ${are}`));
}

/** The bad cells of all ranks, by step. @throws what a rank has thrown, on all ranks. */
async function collectBadCells(
  team: Team,
  phase: string,
  own: readonly ShareSum[] | undefined,
  thrown: { readonly error: unknown } | undefined,
): Promise<ShareSum["badCells"][]> {
  const all = await team.collect(phase, async () => {
    if (thrown) throw thrown.error;
    return own?.map(({ badCells }) => badCells) ?? [];
  });
  return (all[0] ?? []).map((_, n) => all.flatMap((ofRank) => ofRank[n] ?? []).toSorted((a, b) => a.cell - b.cell));
}

function tokensOf({ offsets }: SampleTokens, samples: readonly number[]): number {
  return samples.reduce((sum, sample) => sum + (offsets[sample + 1] ?? 0) - (offsets[sample] ?? 0), 0);
}

async function settled<T>(work: Promise<T>): Promise<{ value?: T; thrown?: { error: unknown } }> {
  try {
    return { value: await work };
  } catch (error) {
    return { thrown: { error } };
  }
}
