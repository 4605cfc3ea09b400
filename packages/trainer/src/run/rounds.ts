/**
 * Lets jobs share a pool in rounds: a round begins when every job that still runs has made its call. Steps are taken together
 * then, everything else one after the other in the order of the jobs, so all ranks of a team do the same in the same order.
 * To each job it looks as if it were alone.
 */
import type { DevicePool, Step, StepSum } from "@zerogate/workers";
import type { Team } from "../team/team.ts";
import type { JobPool } from "./context.ts";

/** Pool and team, as one of the jobs uses them. */
export interface Seat {
  readonly pool: JobPool;
  readonly team: Team;
  /** From here on nobody waits for this job, and its calls wait for nobody. */
  leave(): void;
}

/** A call that waits for its round: a step, or something that is done alone. */
type Call =
  | { readonly step: Step; readonly resolve: (sum: StepSum) => void; readonly reject: (error: unknown) => void }
  | { readonly work: () => Promise<void> };

/** Returns a seat for each of `count` jobs. */
export function openRounds(pool: DevicePool, team: Team, count: number): Seat[] {
  /** Calls of the jobs that still run, in their order; undefined while a job makes none. */
  const calls = new Map<number, Call | undefined>(Array.from({ length: count }, (_, seat) => [seat, undefined]));
  let isUnderWay = false;

  const begin = async (): Promise<void> => {
    const round = [...calls.values()].filter((call) => call !== undefined);
    if (isUnderWay || round.length === 0 || round.length < calls.size) return;
    isUnderWay = true;
    for (const seat of calls.keys()) calls.set(seat, undefined);
    await takeSteps(pool, round);
    for (const call of round) if ("work" in call) await call.work();
    isUnderWay = false;
    return begin();
  };
  const wait = (seat: number, call: Call): void => {
    calls.set(seat, call);
    void begin();
  };
  const seatOf = (seat: number): Seat => {
    const alone = <T>(work: () => Promise<T>): Promise<T> =>
      calls.has(seat)
        ? new Promise((resolve, reject) => wait(seat, { work: () => work().then(resolve, reject) }))
        : work();
    return {
      pool: {
        engineName: pool.engineName,
        runStep: (step) =>
          calls.has(seat)
            ? new Promise((resolve, reject) => wait(seat, { step, resolve, reject }))
            : pool.runStep(step),
        evaluate: (evaluation) => alone(() => pool.evaluate(evaluation)),
        generateAll: (generation) => alone(() => pool.generateAll(generation)),
      },
      team: {
        ...team,
        agree: (phase, work, limitFactor) => alone(() => team.agree(phase, work, limitFactor)),
        collect: (phase, work, limitFactor) => alone(() => team.collect(phase, work, limitFactor)),
        fromFirst: (phase, work, limitFactor) => alone(() => team.fromFirst(phase, work, limitFactor)),
      },
      leave() {
        calls.delete(seat);
        void begin();
      },
    };
  };
  return [...calls.keys()].map(seatOf);
}

/** Takes the steps of a round in one call of the pool; never rejects. */
async function takeSteps(pool: DevicePool, round: readonly Call[]): Promise<void> {
  const calls = round.filter((call) => "step" in call);
  if (calls.length === 0) return;
  const results = await pool
    .runSteps(calls.map(({ step }) => step))
    .catch((reason: unknown) => calls.map(() => ({ status: "rejected", reason }) as const));
  for (const [n, { resolve, reject }] of calls.entries()) {
    const result = results[n];
    if (result?.status === "fulfilled") resolve(result.value);
    else reject(result?.reason);
  }
}
