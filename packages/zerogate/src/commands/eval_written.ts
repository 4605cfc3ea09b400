/** Scores of written answers as tables for people. */
import { type WrittenMetric, type WrittenResult, writtenMetrics } from "@zerogate/data";
import { formatCount, type WrittenEvaluation } from "@zerogate/trainer/command";
import { table } from "./table.ts";

const names: Readonly<Record<WrittenMetric, string>> = { exactMatch: "exact", rougeL: "ROUGE-L", chrF: "chrF" };

/** A row for each model, and one for each difference; all of them from 0 to 100. */
export function describeWritten({ answers, results, differences }: WrittenEvaluation): string {
  const heads = writtenMetrics.flatMap((metric) => [names[metric], "95 %"]);
  const rows = [
    ...results.map((result) => [result.model, ...cells(result, plain)]),
    ...differences.map((result) => [`${result.model} − ${result.against}`, ...cells(result, signed)]),
  ];
  return `\n${formatCount(answers)} answers written, of 100\n${table([["", ...heads], ...rows])}`;
}

function cells(result: WrittenResult, show: (value: number) => string): string[] {
  return writtenMetrics.flatMap((metric) => {
    const { value, interval } = result[metric];
    const scale = metric === "chrF" ? 1 : 100;
    return [show(scale * value), `${show(scale * interval[0])} … ${show(scale * interval[1])}`];
  });
}

const plain = (value: number): string => value.toFixed(1);
const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
