/** What a run says at its end. */

import { ownCommand } from "@zerogate/run-config";
import { readMetrics } from "@zerogate/run-files";
import type { RunResult } from "@zerogate/trainer";
import { describeChoice, formatDuration, formatLoss, formatShare } from "@zerogate/trainer/command";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";

export function exitCodeOf({ ending }: RunResult): ExitCode {
  return ending === "interrupted" ? 130 : 0;
}

/** Prints the result on stdout, as `{"event":"done",…}` or as text. */
export function printOutcome(out: string, result: RunResult, json: boolean, context: CommandContext): void {
  const { ending, steps, base, adapter, best, samples, unmoved, choice, adapterFolder, report, durationMs } = result;
  const resumeLine = ownCommand`resume ${out}`;
  if (ending === "interrupted") {
    if (json) printJson(context, { event: "interrupted", steps, out, resume: resumeLine });
    else context.stdout.write(`Stopped after step ${steps}; everything is saved. Go on with:\n  ${resumeLine}\n`);
    return;
  }
  if (json) {
    const validation = readMetrics(out).evaluations.map(({ step, loss, perplexity }) => ({ step, loss, perplexity }));
    const evaluation = { base, adapter, best, validation };
    printJson(context, {
      event: "done",
      ending,
      steps,
      out,
      adapterFolder,
      adapterFrom: choice?.from,
      adapterStep: choice?.step,
      report,
      durationMs,
      ...(result.hadEnded && { hadEnded: true }),
      ...evaluation,
      samples,
      unmoved,
    });
    return;
  }
  const early = ending === "stopped-early" ? " (stopped early: no better validation)" : "";
  const lines = [
    result.hadEnded
      ? `This run has ended after ${steps} steps${early}: there is nothing to do. With a greater --steps or --epochs it goes on.`
      : `Trained ${steps} steps in ${formatDuration(durationMs)}${early}.`,
  ];
  if (base && adapter) {
    lines.push(
      "",
      "                     base   adapter",
      row("held-out loss", formatLoss(base.loss), formatLoss(adapter.loss)),
      row("exact match", formatShare(base.exactMatch), formatShare(adapter.exactMatch)),
    );
  }
  if (unmoved.length > 0) {
    const reasons = "look at the learning rate, its warmup, the gates and the number of steps";
    lines.push("", `Warning: ${unmoved.join(" and ")} never moved: ${reasons}.`);
  }
  if (choice) lines.push("", `The adapter is that of ${describeChoice(choice)}.`);
  if (base && choice?.loss !== undefined && base.loss < choice.loss) {
    lines.push(`Warning: on what is held out no step was better than the base alone, ${formatLoss(base.loss)}.`);
  }
  lines.push("", `adapter  ${adapterFolder}`, `report   ${report}`, "");
  context.stdout.write(lines.join("\n"));
}

const row = (name: string, before: string, after: string) =>
  `${name.padEnd(15)}${before.padStart(10)}${after.padStart(10)}`;
