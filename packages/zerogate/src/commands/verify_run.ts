/** `zerogate verify RUN`: all hashes of a run directory, and with `--replay A..B` its steps done once more. */
import { InputError } from "@zerogate/core";
import { readModelConfig } from "@zerogate/core/node";
import {
  checkLinks,
  openInputs,
  type Replay,
  readRunConfig,
  replayRun,
  type StepRange,
  type VerifiedRun,
  verifyRun,
} from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import { continued } from "../terminal/plain_text.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { openLiveView } from "./live_view.ts";

export interface VerifyRunFlags {
  readonly replay?: string;
  readonly json?: boolean;
  readonly [key: string]: unknown;
}

/** @returns 3 where something differs. */
export async function verifyRunCommand(
  runDir: string,
  flags: VerifyRunFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const range = flags.replay === undefined ? undefined : parseRange(flags.replay);
  const config = await readRunConfig(runDir, configFlags(flags));
  const view = openLiveView(context, false);
  try {
    await checkLinks(config, [config.model, config.initAdapter]);
    const verified = await verifyRun(config, await readModelConfig(config.model));
    const replay =
      range &&
      (await replayRun(config, await openInputs(config, view.progress, "passed over"), range, {
        ...view,
        signal: context.signal,
      }));
    view.close();
    if (flags.json) printJson(context, { ok: isRight(verified, replay), ...verified, replay });
    else context.stdout.write(describe(verified, replay, range));
    return isRight(verified, replay) ? 0 : 3;
  } finally {
    view.close();
  }
}

const isRight = ({ problems }: VerifiedRun, replay: Replay | undefined): boolean =>
  problems.length === 0 && replay?.difference === undefined;

function parseRange(text: string): StepRange {
  const [, from, to] = /^([1-9]\d{0,14})\.\.([1-9]\d{0,14})$/.exec(text) ?? [];
  const range = { from: Number(from), to: Number(to) };
  if (range.from <= range.to) return range;
  throw new InputError("Cannot replay", `--replay is "${text}", expected two steps as in 5..20, the first is 1`);
}

function describe(verified: VerifiedRun, replay: Replay | undefined, range: StepRange | undefined): string {
  const { checked, problems, notes, chain } = verified;
  const lines = [
    ...checked.map((line) => `ok    ${continued(line)}`),
    ...notes.map((line) => `note  ${continued(line)}`),
    ...problems.map((line) => `WRONG ${continued(line)}`),
  ];
  if (replay && range) {
    const { difference, start, same } = replay;
    const begin = start === 0 ? "the start" : `the checkpoint of step ${start}`;
    lines.push(
      difference
        ? `WRONG replay from ${begin}: step ${difference.step} is the first that differs, its ${difference.what} was ${difference.was}, is ${difference.is}`
        : `ok    replay from ${begin} to step ${range.to}: loss and parameters of ${same} steps are the same`,
    );
  }
  if (chain) lines.push(`receipt ${chain}`);
  return `${lines.join("\n")}\n`;
}
