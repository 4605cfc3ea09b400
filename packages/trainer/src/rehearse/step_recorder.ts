/** What the steps of a rehearsal took, beside what their cells ask for. */
import type { SampleCost } from "@zerogate/core/training";
import { cellCost, stepWork } from "@zerogate/data";
import type { RunInputs } from "../run/inputs.ts";
import type { StepReport } from "../run/step_report.ts";

/** Milliseconds of one step. */
export interface RehearsedStep {
  /** Counted from 1. */
  readonly step: number;
  /** From its first cell's start to that of the next step. */
  readonly stepMs: number;
  /** What the cells of the busiest device ask for. */
  readonly cellMs: number;
  /** Mean over the devices. */
  readonly workMs: number;
  /** From the last result's arrival to the next step's first cell. */
  readonly leaderMs: number;
  /** Part of `leaderMs`: adding up. */
  readonly reduceMs: number;
  /** Of all threads of this process. */
  readonly processorMs: number;
  readonly tokens: number;
}

interface Taken extends Omit<RehearsedStep, "stepMs" | "leaderMs"> {
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface StepRecorder {
  add(step: number, report: StepReport): void;
  /** A worker has died in the step that is under way. */
  lost(): void;
  /** All steps that another one follows. */
  found(): { readonly steps: readonly RehearsedStep[]; readonly lostAt: readonly number[] };
}

/** @param cost in milliseconds */
export function stepRecorder(
  { plan, sizes }: Pick<RunInputs, "plan" | "sizes">,
  devices: number,
  cost: SampleCost,
): StepRecorder {
  const workOf = (cell: readonly number[]) => cellCost(cost, sizes, cell);
  const taken: Taken[] = [];
  const lostAt: number[] = [];
  let before = process.cpuUsage();
  return {
    lost: () => void lostAt.push((taken.at(-1)?.step ?? 0) + 1),
    add(step, { sum: { startedAt, endedAt, reduceMs } }) {
      const { cells, tokens } = plan.step(step - 1);
      const works = cells.map(workOf);
      const { user, system } = process.cpuUsage(before);
      before = process.cpuUsage();
      const processorMs = (user + system) / 1000;
      const workMs = works.reduce((a, b) => a + b, 0) / devices;
      taken.push({ step, cellMs: stepWork(works, devices), workMs, reduceMs, processorMs, tokens, startedAt, endedAt });
    },
    found() {
      const steps = taken.slice(0, -1).map(({ startedAt, endedAt, ...step }, i) => {
        const next = taken[i + 1]?.startedAt ?? startedAt;
        return { ...step, stepMs: next - startedAt, leaderMs: next - endedAt };
      });
      return { steps, lostAt };
    },
  };
}
