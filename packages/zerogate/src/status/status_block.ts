/** The status block of a terminal, as lines of text. */

import type { Phase } from "@zerogate/trainer";
import { formatCount, formatDuration, formatLoss, formatShare, formatSmall } from "@zerogate/trainer/command";
import type { Colors } from "picocolors/types.js";
import { fitLine, oneLine } from "./fit.ts";
import { progressBar } from "./progress_bar.ts";
import { sparkline } from "./sparkline.ts";
import type { TrainingStatus, WorkerStatus } from "./state.ts";

const GAP = "   ";

/**
 * The lines of the block, each at most `columns` wide, at most `rows` of them (worker rows are left out first).
 * Before the first step there is only a phase.
 */
export function renderBlock(
  { training, phase }: { readonly training?: TrainingStatus | undefined; readonly phase?: Phase | undefined },
  { columns, rows }: { readonly columns: number; readonly rows: number },
  colors: Colors,
): string[] {
  const lines: string[] = [];
  if (training) lines.push(...trainingLines(training, columns, colors));
  if (phase) lines.push(phaseLine(phase, columns, colors));
  if (training) lines.push(...workerLines(training.workers, rows - lines.length, columns, colors));
  return lines.slice(0, Math.max(1, rows)).map((line) => fitLine(line, columns));
}

function trainingLines(s: TrainingStatus, columns: number, colors: Colors): string[] {
  const share = s.totalSteps > 0 ? s.step / s.totalSteps : 0;
  const label = (text: string) => colors.dim(text);
  const counts = [
    colors.bold(formatShare(share).padStart(4)),
    `${label("step")} ${formatCount(s.step)}/${formatCount(s.totalSteps)}`,
    `${label("epoch")} ${s.epoch.toFixed(2)}/${Number(s.totalEpochs.toFixed(2))}`,
  ];
  const countWidth = 4 + `step ${formatCount(s.step)}/${formatCount(s.totalSteps)}`.length + 18;
  const bar = colors.cyan(progressBar(share, Math.min(40, Math.max(8, columns - countWidth - 10))));
  const loss = s.losses.at(-1);
  const times = [`${label("elapsed")} ${formatDuration(s.elapsedMs)}`];
  if (s.remainingMs !== undefined) times.push(`${label("left")} ${formatDuration(s.remainingMs)}`);
  times.push(
    `${formatCount(s.tokensPerSecond)} ${label("tokens/s,")} ${formatCount(s.labelledTokensPerSecond)} ${label("labelled")}`,
  );
  const lines = [
    colors.bold(oneLine(s.run)),
    `${bar} ${counts.join(GAP)}`,
    times.join(GAP),
    `${label("loss")} ${loss === undefined ? "–" : colors.bold(formatLoss(loss))}  ${colors.green(sparkline(s.losses, Math.min(48, Math.max(8, columns - 16))))}`,
  ];
  if (s.validationLoss !== undefined) {
    const best =
      s.best === undefined
        ? ""
        : `${GAP}${label("best")} ${formatLoss(s.best.loss)} ${label(`at step ${formatCount(s.best.step)}`)}`;
    lines.push(`${label("validation")} ${formatLoss(s.validationLoss)}${best}`);
  }
  lines.push(
    `${label("learning rate")} ${formatSmall(s.learningRate)}${GAP}${label("gradient norm")} ${formatSmall(s.gradientNorm)}`,
  );
  return lines;
}

function phaseLine({ name, done, total, counts: given }: Phase, columns: number, colors: Colors): string {
  const text = colors.yellow(oneLine(name));
  if (done === undefined) return text;
  if (total === undefined || total === 0) return `${text} ${formatCount(done)}`;
  const counts = given ?? `${formatCount(done)}/${formatCount(total)}`;
  const width = Math.min(24, columns - name.length - counts.length - 2);
  return `${text} ${width >= 8 ? `${colors.cyan(progressBar(done / total, width))} ` : ""}${counts}`;
}

function workerLines(workers: readonly WorkerStatus[], rows: number, columns: number, colors: Colors): string[] {
  const fits = workers.length <= rows ? workers.length : Math.max(0, rows - 1);
  const nameWidth = Math.max(0, ...workers.map(({ name }) => oneLine(name).length));
  const paint = { starting: colors.yellow, computing: colors.green, waiting: colors.dim, lost: colors.red };
  const barWidth = Math.min(16, Math.max(4, columns - nameWidth - 36));
  const lines = workers.slice(0, fits).map(({ name, state, cells, busy }) => {
    const bar = colors.cyan(progressBar(busy, barWidth));
    const share = `${formatShare(busy).padStart(4)} busy`;
    return `${oneLine(name).padEnd(nameWidth)}  ${paint[state](state.padEnd(9))}  ${bar} ${share}${GAP}${formatCount(cells)} ${colors.dim("cells")}`;
  });
  if (fits < workers.length && rows > 0) lines.push(colors.dim(`… ${workers.length - fits} more workers`));
  return lines;
}
