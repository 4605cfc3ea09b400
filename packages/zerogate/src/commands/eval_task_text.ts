/** Results of tasks as tables for people. */
import { formatCount, type TaskSummary } from "@zerogate/trainer/command";
import { table } from "./table.ts";

/** A task with how it was asked. */
export interface ShownTask extends TaskSummary {
  readonly shots: number;
  readonly skipped: number;
}

/** A table for each task, and what the differences in it are worth. */
export function describeTasks(tasks: readonly ShownTask[]): string {
  return tasks.map(describeTask).join("\n");
}

function describeTask(shown: ShownTask): string {
  const { task, metrics, questions, results, comparisons, shots, skipped, truncated } = shown;
  const rows = results.map((result) => [
    result.model,
    ...metrics.flatMap((metric) => {
      const { value, interval } = result[metric] ?? { value: 0, interval: [0, 0] };
      return [percent(value), `${percent(interval[0])} … ${percent(interval[1])}`];
    }),
  ]);
  const examples = shots === 0 ? "no examples" : `${formatCount(shots)} example${shots === 1 ? "" : "s"} each`;
  const lines = [
    `${task}: ${formatCount(questions)} questions, ${examples}, % right`,
    table([["", ...metrics.flatMap((metric) => [metric, "95 %"])], ...rows]).trimEnd(),
  ];
  for (const { model, against, metric, difference, interval, onlyFirst, onlySecond, p } of comparisons) {
    const range = `95 % ${signed(interval[0])} … ${signed(interval[1])}`;
    const counts = `${formatCount(onlySecond)} right where ${against} is wrong, ${formatCount(onlyFirst)} the other way`;
    lines.push(
      `${model} − ${against}, ${metric}: ${signed(difference)} points (${range}), ${counts}, McNemar p ${formatP(p)}`,
    );
  }
  if (truncated > 0)
    lines.push(`${formatCount(truncated)} choices were longer than the model's context and lost their beginning`);
  if (skipped > 0) lines.push(`${formatCount(skipped)} records were left out because they cannot be asked`);
  return `${lines.join("\n")}\n`;
}

const percent = (share: number): string => (100 * share).toFixed(1);
const signed = (share: number): string => `${share < 0 ? "−" : "+"}${(100 * Math.abs(share)).toFixed(1)}`;
const formatP = (p: number): string => (p < 0.001 ? "< 0.001" : `= ${p.toPrecision(2)}`);
