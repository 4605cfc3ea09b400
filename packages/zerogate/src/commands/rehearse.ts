/** `zerogate rehearse`: the job of several devices on this machine, with devices that wait instead of computing. */
import { availableParallelism } from "node:os";
import { InputError } from "@zerogate/core";
import { resolveConfig } from "@zerogate/run-config";
import {
  formatCount,
  formatShare,
  type RehearsalRequest,
  type RehearsedStep,
  rankView,
  rehearse,
} from "@zerogate/trainer/command";
import { configFlags } from "../cli/config_flags.ts";
import { openStatus } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { deviceOf } from "./estimate.ts";
import { numberFlag } from "./flags.ts";
import { controlOf } from "./run_control.ts";

export interface RehearseFlags {
  readonly config?: string;
  readonly devices?: string;
  readonly cellMs?: string;
  readonly on?: string;
  readonly utilization?: string;
  readonly kill?: boolean;
  readonly json?: boolean;
  readonly [key: string]: unknown;
}

const DEFAULT_STEPS = 40;
const DEFAULT_DEVICES = 8;
const DEFAULT_CELL_MS = 200;
/** The first steps, in which threads and caches warm up, are not counted. */
const WARM_UP = 5;

export async function rehearseCommand(flags: RehearseFlags, context: CommandContext): Promise<ExitCode> {
  const { devices, speed } = devicesOf(flags);
  const { devices: _devices, cellMs: _cellMs, on: _on, utilization: _utilization, ...others } = flags;
  const { config: file, preset, kill = true, json, ...keys } = others;
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  // Where a run would lie has no meaning, and the config asks for it.
  const config = resolveConfig({
    file,
    preset: preset as string | undefined,
    flags: { ...configFlags(keys), out: "." },
    onNote,
  });
  const { steps = DEFAULT_STEPS } = config;
  if (steps <= 2 * WARM_UP) {
    const needed = `more than ${2 * WARM_UP} are needed: the first ${WARM_UP} are not counted`;
    throw new InputError("Cannot rehearse", `--steps is ${steps}, ${needed}`);
  }
  const status = openStatus(context.stderr, context.env);
  const shown = { phase: status.phase, warn: status.log };
  const found = await rehearse(
    config,
    { devices, speed, steps, kills: kill && devices > 1 },
    ({ rank, isFirst }) => (isFirst ? shown : rankView(rank, onNote)),
    controlOf(context),
  ).finally(() => status.stop());
  const { parameters, hosts, isFirst, lostAt } = found;
  const counted = found.steps.slice(WARM_UP);
  if (!isFirst || counted.length === 0) return 0;
  const facts = { devices, hosts, parameters, lostAt, ...summary(counted), steps: counted };
  if (json) printJson(context, facts);
  else context.stdout.write(describe(facts));
  return 0;
}

/** All problems of the flags at once. */
function devicesOf({ devices, cellMs, on, utilization }: RehearseFlags): Pick<RehearsalRequest, "devices" | "speed"> {
  const problems: string[] = [];
  const named = on === undefined ? undefined : deviceOf(on, problems);
  if (named && cellMs !== undefined) problems.push("--cell-ms and --on both say how fast a device is: give one");
  const count = numberFlag(
    "--devices",
    devices,
    named?.devices ?? DEFAULT_DEVICES,
    { min: 1, max: 256, whole: true },
    problems,
  );
  const time = numberFlag("--cell-ms", cellMs, DEFAULT_CELL_MS, { min: 0.1, max: 60_000 }, problems);
  const share = numberFlag("--utilization", utilization, 0.5, { min: 0.01, max: 1 }, problems);
  if (problems.length > 0) throw new InputError("Cannot rehearse", problems);
  return { devices: count, speed: named ? { ...named, utilization: share } : { cellMs: time } };
}

/** Medians, so that the step of a lost worker, a checkpoint and what else this machine does weigh little. */
function summary(steps: readonly RehearsedStep[]) {
  const of = (value: (step: RehearsedStep) => number) => median(steps.map(value));
  const [stepMs, cellMs, leaderMs] = [of((s) => s.stepMs), of((s) => s.cellMs), of((s) => s.leaderMs)];
  return {
    stepMs,
    cellMs,
    leaderMs,
    beyond: of((step) => step.stepMs / step.cellMs - 1),
    busy: of((step) => step.workMs / step.stepMs),
    planned: of((step) => step.workMs / step.cellMs),
    processorMs: of((step) => step.processorMs),
    tokensPerSecond: of((step) => (1000 * step.tokens) / step.stepMs),
    longestMs: Math.max(...steps.map((step) => step.stepMs)),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

interface Facts extends ReturnType<typeof summary> {
  readonly devices: number;
  readonly hosts: number;
  readonly parameters: number;
  readonly lostAt: readonly number[];
  readonly steps: readonly RehearsedStep[];
}

function describe(facts: Facts): string {
  const { devices, hosts, parameters, lostAt, stepMs, cellMs, leaderMs, longestMs } = facts;
  const ms = (time: number) => `${time.toFixed(1)} ms`;
  const lost = lostAt.length > 0 ? `, a worker was lost in step ${lostAt.join(", ")}` : "";
  const all = hosts > 1 ? `${hosts} hosts of ${devices} devices` : `${devices} devices`;
  const cores = availableParallelism();
  const limits =
    facts.processorMs / cores > 0.5 * cellMs
      ? ": too few for these devices, a machine with a core for each is faster"
      : "";
  return [
    `${all}, ${formatCount(parameters)} trained numbers, ${facts.steps.length} steps counted${lost}`,
    `cells       ${ms(cellMs)} a step on the busiest device`,
    `step        ${ms(stepMs)}, ${(100 * facts.beyond).toFixed(1)} % beyond its cells; the longest ${ms(longestMs)}`,
    `leader      ${ms(leaderMs)} a step in which no device works, ${formatShare(leaderMs / stepMs)} of it`,
    `busy        ${formatShare(facts.busy)} of the time; the plan allows ${formatShare(facts.planned)}`,
    `processor   ${ms(facts.processorMs)} a step for the host work of all devices, on ${cores} cores${limits}`,
    `tokens/s    ${formatCount(facts.tokensPerSecond)}`,
    "Medians of the steps. No device computed anything, and nothing was written.",
    "",
  ].join("\n");
}
