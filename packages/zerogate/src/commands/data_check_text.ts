/** What a check of data found, for a terminal. */
import type { CheckedSet, DataCheck, MeasuredLengths } from "@zerogate/data";
import { formatCount } from "@zerogate/trainer/command";
import { faults, leakFindings, type NamedFinding, oddFindings } from "../report/data_check_findings.ts";
import { plainCell } from "../terminal/plain_text.ts";
import { table } from "./table.ts";

/** Cells of the longest bar of a histogram. */
const BAR = 30;
/** Longest and shortest records that are named. */
const MAX_NAMED = 3;
/** Fields that nobody reads, scripts: more of them are only counted. */
const MAX_NAMES = 10;

export function describeDataCheck({ sets, leaks }: DataCheck): string {
  const parts = sets.map(describeSet);
  if (leaks) parts.push(describeLeaks(leakFindings(leaks)));
  return parts.join("\n");
}

function describeSet(set: CheckedSet): string {
  const { name, records, chats, bad, files, lengths, tokens } = set;
  const counted = tokens ? [tokens.lengths] : lengths;
  const kind = chats === 0 ? "" : chats === records ? ", all chats" : `, ${formatCount(chats)} of them chats`;
  const lines = [`${name}: ${countOf(records, "record")}${kind}${bad > 0 ? `, ${formatCount(bad)} more are bad` : ""}`];
  if (files.length > 1)
    lines.push(...files.map(({ path, records: own }) => `  ${plainCell(path)}: ${formatCount(own)}`));
  lines.push(...faults(set).map((fault) => `  bad: ${plainCell(fault)}`));
  lines.push("", lengthTable(counted).trimEnd(), "", ...counted.slice(0, 1).flatMap(histogram), "", ...cutLines(set));
  lines.push(...columnLines(set), ...oddFindings(set).flatMap((found) => findingLines(found, "record")));
  return `${lines.join("\n")}\n`;
}

function lengthTable(counted: readonly MeasuredLengths[]): string {
  const rows = counted.flatMap(({ unit, record, answer }) =>
    [
      [`${unit} of a record`, record] as const,
      [unit === "tokens" ? "tokens that are trained" : `${unit} of its answer`, answer] as const,
    ].map(([name, { shortest, mean, longest, percentiles }]) => [
      name,
      ...[shortest, mean, percentiles["50"], percentiles["95"], percentiles["99"], longest].map(formatCount),
    ]),
  );
  return table([["", "shortest", "mean", "half", "95 %", "99 %", "longest"], ...rows]);
}

function histogram({ unit, record, longest, shortest }: MeasuredLengths): string[] {
  const most = Math.max(1, ...record.histogram.map(({ count }) => count));
  const bars = record.histogram.map(({ from, to, count }) => {
    const range = `${formatCount(from)} to ${formatCount(to - 1)}`;
    return [range, formatCount(count), "█".repeat(Math.ceil((BAR * count) / most))];
  });
  const width = Math.max(0, ...bars.map(([range = ""]) => range.length));
  const digits = Math.max(0, ...bars.map(([, count = ""]) => count.length));
  const named = (list: typeof longest) =>
    list
      .slice(0, MAX_NAMED)
      .map(({ place, length }) => `${formatCount(length)} (${plainCell(place)})`)
      .join(", ");
  return [
    ...bars.map(([range = "", count = "", bar]) =>
      `  ${range.padStart(width)}  ${count.padStart(digits)}  ${bar}`.trimEnd(),
    ),
    "",
    `longest:  ${named(longest)} ${unit}`,
    `shortest: ${named(shortest)} ${unit}`,
  ];
}

/** What a run would cut, and what it would train. */
function cutLines({ lengths, tokens }: CheckedSet): string[] {
  const [first] = tokens ? [tokens.lengths] : lengths;
  const share = first && `${percent(first.answerShare)} of all ${first.unit} are ${tokens ? "trained" : "answers"}`;
  if (!tokens) return [share ?? ""];
  const { maxLength, cut, noAnswerLeft } = tokens;
  const lost = noAnswerLeft > 0 ? `, ${formatCount(noAnswerLeft)} left out as nothing of the answer fits` : "";
  return [share ?? "", `${countOf(cut, "record")} cut at maxLength ${maxLength}${lost}`];
}

function columnLines({ columns, scripts, unread }: CheckedSet): string[] {
  const rows = columns.map(({ name, texts, empty, meanCharacters, longestCharacters }) => [
    name,
    ...[texts, empty, meanCharacters, longestCharacters].map(formatCount),
  ]);
  const shown = scripts.slice(0, MAX_NAMES).map(({ name, records: own }) => `${name} ${formatCount(own)}`);
  const fields = unread.slice(0, MAX_NAMES).map(({ name, records: own }) => `${plainCell(name)} (${formatCount(own)})`);
  const more = unread.length > fields.length ? ` and ${unread.length - fields.length} more` : "";
  return [
    "",
    table([["field", "texts", "empty", "mean characters", "longest"], ...rows]).trimEnd(),
    "",
    `scripts: ${shown.join(", ")}`,
    ...(fields.length > 0 ? [`fields that are not read, with their records: ${fields.join(", ")}${more}`] : []),
  ];
}

function describeLeaks(findings: readonly NamedFinding[]): string {
  const leaking = findings.filter(({ finding }) => finding.records > 0);
  if (leaking.length === 0) return "no validation record is trained on\n";
  return `${leaking.flatMap((found) => findingLines(found, "validation record")).join("\n")}\n`;
}

function findingLines({ name, finding }: NamedFinding, what: string): string[] {
  const { records, examples } = finding;
  const head = `${countOf(records, what)} ${name}`;
  const places = examples.map(({ place, like, text }) => {
    return `  ${plainCell(place)}${like === undefined ? "" : `, like ${plainCell(like)}`}: ${plainCell(text)}`;
  });
  return [head, ...places];
}

const countOf = (count: number, what: string): string => `${formatCount(count)} ${what}${count === 1 ? "" : "s"}`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
