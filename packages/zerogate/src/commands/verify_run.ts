/** `zerogate verify RUN`: all hashes of a run directory, and with `--replay A..B` its steps done once more. */
import { InputError } from "@zerogate/core";
import { type StepRange, type Verification, verify } from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import { continued } from "../terminal/plain_text.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { openLiveView } from "./live_view.ts";

export interface VerifyRunFlags {
  readonly replay?: string;
  readonly json?: boolean;
  readonly [key: string]: unknown;
}

/** @returns 3 if something differs. */
export async function verifyRunCommand(
  runDir: string,
  flags: VerifyRunFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const range = flags.replay === undefined ? undefined : parseRange(flags.replay);
  const view = openLiveView(context, false);
  const options = { ...view.progress, replay: range, onDevice: view.device };
  const found = await verify(runDir, configFlags(flags), options).finally(() => view.closed());
  const { ok, replay, ...verified } = found;
  if (flags.json) printJson(context, { ok, ...verified, replay });
  else context.stdout.write(describe(found, range));
  return ok ? 0 : 3;
}

function parseRange(text: string): StepRange {
  const [, from, to] = /^([1-9]\d{0,14})\.\.([1-9]\d{0,14})$/.exec(text) ?? [];
  const range = { from: Number(from), to: Number(to) };
  if (range.from <= range.to) return range;
  throw new InputError("Cannot replay", `--replay is "${text}", expected two steps as in 5..20, the first is 1`);
}

function describe(verified: Verification, range: StepRange | undefined): string {
  const { checked, problems, notes, chain, replay } = verified;
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
