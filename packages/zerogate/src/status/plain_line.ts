/** The status as one line, if there is no terminal to draw on. */

import type { Phase } from "@zerogate/trainer";
import { formatCount, formatDuration, formatLoss, formatSmall } from "@zerogate/trainer/command";
import { oneLine } from "./fit.ts";
import type { TrainingStatus } from "./state.ts";

/** `step 126/300  epoch 1.26/3  loss 1.2345  validation 1.1021  lr 4.98e-3  norm 0.732  3,412 tokens/s  elapsed 12 s  left 17 s`. */
export function plainLine(s: TrainingStatus): string {
  const loss = s.losses.at(-1);
  const parts = [`step ${s.step}/${s.totalSteps}`, `epoch ${s.epoch.toFixed(2)}/${Number(s.totalEpochs.toFixed(2))}`];
  if (loss !== undefined) parts.push(`loss ${formatLoss(loss)}`);
  if (s.validationLoss !== undefined) parts.push(`validation ${formatLoss(s.validationLoss)}`);
  parts.push(`lr ${formatSmall(s.learningRate)}`, `norm ${formatSmall(s.gradientNorm)}`);
  parts.push(`${formatCount(s.tokensPerSecond)} tokens/s`, `elapsed ${formatDuration(s.elapsedMs)}`);
  if (s.remainingMs !== undefined) parts.push(`left ${formatDuration(s.remainingMs)}`);
  const lost = s.workers.filter(({ state }) => state === "lost").length;
  if (lost > 0) parts.push(`${lost} of ${s.workers.length} workers lost`);
  return parts.join("  ");
}

/** `tokenising 12,000/52,002`. */
export function plainPhase({ name, done, total, counts }: Phase): string {
  if (done === undefined) return oneLine(name);
  if (counts !== undefined) return `${oneLine(name)} ${counts}`;
  return `${oneLine(name)} ${formatCount(done)}${total === undefined ? "" : `/${formatCount(total)}`}`;
}
