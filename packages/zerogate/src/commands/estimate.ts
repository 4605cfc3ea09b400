/** `zerogate estimate`: how long a run would take on devices that are not here, and what would limit it. */
import { InputError, parameterCount, trainableLine, type VisionShape } from "@zerogate/core";
import { formatBytes } from "@zerogate/core/formats";
import { writeRepoName } from "@zerogate/hub/light";
import { hubPlace, resolveConfig } from "@zerogate/run-config";
import { trainedLayout } from "@zerogate/run-files";
import {
  deviceSpeeds,
  type EstimateRequest,
  estimateRun,
  formatCount,
  formatDuration,
  formatShare,
  type MeasuredDevice,
  measureDevice,
  planOnly,
  type TimeEstimate,
  whatLimits,
} from "@zerogate/trainer/command";
import { configFlags } from "../cli/config_flags.ts";
import { openStatus } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { numberFlag } from "./flags.ts";
import { withRemote } from "./inspect/remote.ts";

export interface EstimateFlags {
  readonly config?: string;
  readonly preset?: string;
  readonly on?: readonly string[];
  readonly utilization?: string;
  readonly leaderMs?: string;
  readonly json?: boolean;
  readonly [key: string]: unknown;
}

const DEFAULT_DEVICES = [1, 2, 4, 8, 16].map((count) => `${count}xH100`);
const DEFAULT_UTILIZATION = 0.5;
/** Measured with eight workers and the 1,228,830 numbers of LLaMA-7B (bench/leader.mjs). */
const DEFAULT_LEADER_MS = 8;

/** A model of the Hub that is not here is asked for its config and tokenizer alone. */
export async function estimateCommand(flags: EstimateFlags, context: CommandContext): Promise<ExitCode> {
  const { model } = flags;
  const place = typeof model === "string" ? hubPlace(model) : undefined;
  if (place === undefined || !("missing" in place)) return await estimate(flags, context);
  const { missing, problem } = place;
  const attempt = `Cannot estimate with ${writeRepoName(missing)}`;
  if (requestsOf(flags).some(({ device }) => device === HERE)) {
    throw new InputError(attempt, `--on here computes with its weights, and ${problem}`);
  }
  return await withRemote(missing, attempt, context, async ({ path }) => {
    return await estimate({ ...flags, model: path }, context);
  });
}

async function estimate(flags: EstimateFlags, context: CommandContext): Promise<ExitCode> {
  const requests = requestsOf(flags);
  const { on: _on, utilization: _utilization, leaderMs: _leaderMs, config: file, preset, json, ...keys } = flags;
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  // No run is begun: where it would lie has no meaning, and the config asks for it.
  const config = resolveConfig({ file, preset, flags: { ...configFlags(keys), out: "." }, onNote });
  const status = openStatus(context.stderr, context.env);
  const progress = { onPhase: status.phase, onWarning: status.log, signal: context.signal };
  const planned = await planOnly(config, progress).finally(() => status.stop());
  const { model, layout, data } = planned;
  const measured = requests.some(({ device }) => device === HERE)
    ? await measureDevice(config, planned, progress).finally(() => status.stop())
    : undefined;
  const estimates = requests.map((named) => {
    const request = named.device === HERE && measured ? { ...named, ...speedOf(measured) } : named;
    const time = estimateRun(config, data, { model, layout }, request);
    return { ...request, ...time, limit: whatLimits(time, request) };
  });
  const facts = {
    trainable: trainableLine({
      trainable: trainedLayout(config, layout).length,
      all: parameterCount(model) + layout.length,
    }),
    samples: data.plan.sampleCount,
    steps: data.totalSteps,
    batchSize: config.batchSize,
    cellMultiple: config.cellMultiple,
    ...(measured && { measured }),
    estimates,
  };
  if (json) printJson(context, facts);
  else context.stdout.write(describe(facts, layout.shape.vision));
  return 0;
}

/** A device of this machine, whose speed is measured. */
const HERE = "here";

/** What was measured is what is reached: all of it. */
const speedOf = ({ teraflops, gigabytes }: MeasuredDevice) => ({ teraflops, gigabytes, utilization: 1 });

interface NamedRequest extends EstimateRequest {
  readonly device: string;
}

/** All problems of the flags at once. */
function requestsOf({ on = DEFAULT_DEVICES, utilization, leaderMs }: EstimateFlags): NamedRequest[] {
  const problems: string[] = [];
  const share = numberFlag("--utilization", utilization, DEFAULT_UTILIZATION, { min: 0.01, max: 1 }, problems);
  const leader = numberFlag("--leader-ms", leaderMs, DEFAULT_LEADER_MS, { min: 0, max: 60_000 }, problems);
  const requests = on.flatMap((text): NamedRequest[] => {
    const here = /^(?:(\d{1,5}) ?x ?)?here$/i.exec(text.trim());
    const named =
      here && Number(here[1] ?? 1) > 0
        ? { device: HERE, devices: Number(here[1] ?? 1), teraflops: 0, gigabytes: 0 }
        : deviceOf(text, problems);
    return named ? [{ ...named, utilization: share, leaderMs: leader }] : [];
  });
  if (problems.length > 0) throw new InputError("Cannot estimate", problems);
  return requests;
}

/** Devices as `8xH100` or `A100` names them; what is wrong with it is added to `problems`. */
export function deviceOf(
  text: string,
  problems: string[],
): Pick<NamedRequest, "device" | "devices" | "teraflops" | "gigabytes"> | undefined {
  const [, count, name = ""] = /^(?:(\d{1,5}) ?x ?)?([a-z0-9]+)$/i.exec(text.trim()) ?? [];
  const device = Object.keys(deviceSpeeds).find((known) => known.toLowerCase() === name.toLowerCase());
  const speed = device === undefined ? undefined : deviceSpeeds[device];
  const devices = count === undefined ? 1 : Number(count);
  if (device !== undefined && speed && devices >= 1) return { device, devices, ...speed };
  const known = Object.keys(deviceSpeeds).join(", ");
  problems.push(`--on is ${JSON.stringify(text)}, expected a number and a device as in 8xH100: known are ${known}`);
  return undefined;
}

interface Facts {
  readonly trainable: string;
  readonly samples: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly cellMultiple: number;
  readonly measured?: MeasuredDevice;
  readonly estimates: readonly (NamedRequest & TimeEstimate & { readonly limit: string })[];
}

function describe(facts: Facts, seen: VisionShape | undefined): string {
  const { trainable, samples, steps, batchSize, cellMultiple, measured, estimates } = facts;
  const cells = cellMultiple > 0 ? `even cells, a multiple of ${cellMultiple}` : "cells filled one after the other";
  const lines = [
    `parameters     ${trainable}`,
    `steps          ${formatCount(steps)} of ${batchSize} of ${formatCount(samples)} samples, ${cells}`,
  ];
  if (measured) {
    const { engine, compute, cells: count, tokens, cellMs } = measured;
    const each = `${formatDuration(cellMs)} for ${formatCount(Math.round(tokens))} tokens`;
    lines.push(`measured       ${count} cells on one device (${engine}, ${compute}): ${each} on average`);
  }
  const time = (seconds: number) => formatDuration(1000 * seconds);
  for (const of of estimates) {
    const { devices, device, utilization, teraflops } = of;
    lines.push(
      "",
      `${devices} x ${device} at ${formatShare(utilization)} of ${formatTeraflops(teraflops)} TFLOP/s: ${time(of.total)}, ${of.deviceHours.toFixed(2)} device hours`,
      `  computing    ${time(of.computing)}, ${formatShare(of.busy)} of training, ${formatCount(of.tokensPerSecond)} tokens/s`,
      `  waiting      ${time(of.waiting)} for the slowest device`,
      `  leader       ${time(of.leader)}, ${of.leaderMs} ms a step`,
      `  validation   ${time(of.validation)}`,
      `  memory       ${formatBytes(of.memory)} of ${of.gigabytes} GB a device`,
      `  limit        ${of.limit}`,
    );
  }
  lines.push("", `${notCounted(seen)} Nothing was trained or written.`, "");
  return lines.join("\n");
}

function notCounted(seen: VisionShape | undefined): string {
  if (!seen) return "Loading the base is not in it.";
  const host = seen.fusion === "query" ? ", and visual queries, which the host computes," : "";
  return `Loading the base and looking at images${host} are not in it.`;
}

const formatTeraflops = (teraflops: number) =>
  `${teraflops < 10 ? Number(teraflops.toPrecision(3)) : Math.round(teraflops)}`;
