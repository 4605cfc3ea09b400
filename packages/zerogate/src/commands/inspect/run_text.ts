/** A run for people: a row for each question that one has about it. */
import {
  dataWarnings,
  describeCounts,
  formatCount,
  formatDuration,
  formatLoss,
  formatShare,
} from "@zerogate/trainer/command";
import type { Facts, Row } from "./facts.ts";
import type { RunFacts } from "./run.ts";

export const isRunFacts = (facts: Facts | RunFacts): facts is RunFacts => facts.kind === "run" && "next" in facts;

export function runRows(facts: RunFacts): Row[] {
  const { path, state, why, adapter, base, dataFiles, data, engine, versions, checkpoints, warnings, problems, next } =
    facts;
  const optional = (name: string, text: string | undefined): Row[] => (text === undefined ? [] : [[name, text]]);
  const dataTexts = data.flatMap((counts) => [describeCounts(counts), ...dataWarnings(counts)]);
  return [
    ["kind", "run"],
    ["path", path],
    ["state", `${state}: ${why}`],
    ["progress", progressText(facts)],
    ...optional("loss", facts.loss === undefined ? undefined : `${formatLoss(facts.loss)} in the last step`),
    ...optional("validation", validationText(facts)),
    ...optional("adapter", adapter && `${adapter.folder}${adapter.origin === undefined ? "" : `: ${adapter.origin}`}`),
    ...optional("base", base && `${base.path}${base.isThere ? "" : ", which is not there"}`),
    ...dataFiles.map((file, i): Row => [i === 0 ? "data" : "", file]),
    ...dataTexts.map((text): Row => ["", text]),
    ["time", timeText(facts)],
    ...optional("engine", engine === undefined ? undefined : engine),
    ...optional("versions", versions && `zerogate ${versions.zerogate}, Node ${versions.node}`),
    ["checkpoints", checkpoints.length === 0 ? "none" : checkpoints.join(", ")],
    ...optional("warnings", warnings === 0 ? undefined : `${formatCount(warnings)} in log.jsonl`),
    ...problems.map((problem, i): Row => [i === 0 ? "problems" : "", problem]),
    ["next", next],
  ];
}

function progressText({ steps, totalSteps, epoch, totalEpochs, savedSteps }: RunFacts): string {
  const of = (total: number | undefined) => (total === undefined ? "" : ` of ${round(total)}`);
  const share = totalSteps === undefined ? "" : ` (${formatShare(steps / totalSteps)})`;
  const saved = savedSteps === undefined ? "nothing saved yet" : `saved up to step ${formatCount(savedSteps)}`;
  return `step ${formatCount(steps)}${of(totalSteps)}${share}, epoch ${round(epoch)}${of(totalEpochs)}, ${saved}`;
}

const round = (value: number): string =>
  Number.isInteger(value) ? formatCount(value) : String(Number(value.toFixed(2)));

function validationText({ baseValidation, bestValidation, lastValidation }: RunFacts): string | undefined {
  const at = (name: string, found: { step: number; loss: number } | undefined) =>
    found ? [`${name} ${formatLoss(found.loss)} at step ${formatCount(found.step)}`] : [];
  const base = baseValidation ? [`base ${formatLoss(baseValidation.loss)}`] : [];
  const parts = [...base, ...at("best", bestValidation), ...at("last", lastValidation)];
  return parts.length === 0 ? undefined : `${parts.join(", ")} (nats per token)`;
}

function timeText({ stepsMs, remainingMs, beganAt, lastAt }: RunFacts): string {
  const parts = [`${formatDuration(stepsMs)} of steps`];
  if (remainingMs !== undefined) parts.push(`about ${formatDuration(remainingMs)} to go`);
  if (beganAt !== undefined) parts.push(`began ${beganAt}`);
  if (lastAt !== undefined) parts.push(`last step written ${lastAt}`);
  return parts.join(", ");
}
