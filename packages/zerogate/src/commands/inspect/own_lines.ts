/** The files of a run that grow line by line. */
import { parseStrictJson } from "@zerogate/core/formats";
import { readRegularFileSync } from "@zerogate/core/node";
import { readMetricsFile, readReceipt } from "@zerogate/run-files";
import type { DataCounts } from "@zerogate/trainer";
import { hasKeys, type JsonObject, type KnownFile } from "./known_file.ts";

export interface LogFacts {
  readonly lines: number;
  readonly unreadable: number;
  /** Lines of each level. */
  readonly levels: Readonly<Record<string, number>>;
  readonly firstAt: string | undefined;
  readonly lastAt: string | undefined;
  readonly lastMessage: string | undefined;
  /** Why the run ended before its end, the last time that it did. */
  readonly failure: { readonly time: string; readonly message: string } | undefined;
  /** What became of the records, as it was counted last. */
  readonly data: readonly DataCounts[];
}

const levelNames: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};

/** @throws InputError if the file cannot be read. */
export function readLogFile(path: string): LogFacts {
  const lines = readRegularFileSync(path).toString().split("\n").filter(Boolean);
  const parsed = lines.flatMap((line) => logLine(line) ?? []);
  const levels: Record<string, number> = {};
  for (const { level } of parsed) {
    const name = levelNames[level] ?? String(level);
    levels[name] = (levels[name] ?? 0) + 1;
  }
  const fatal = parsed.findLast(({ level }) => level === 60);
  const data = new Map(parsed.flatMap(({ counts }) => (counts ? [[counts.name, counts] as const] : [])));
  return {
    lines: parsed.length,
    unreadable: lines.length - parsed.length,
    levels,
    firstAt: parsed[0]?.time,
    lastAt: parsed.at(-1)?.time,
    lastMessage: parsed.at(-1)?.message,
    failure: fatal && { time: fatal.time, message: fatal.message },
    data: [...data.values()],
  };
}

interface LogLine {
  readonly level: number;
  readonly time: string;
  readonly message: string;
  readonly counts: DataCounts | undefined;
}

function logLine(text: string): LogLine | undefined {
  try {
    const { level, time, msg = "", counts } = parseStrictJson(text) as JsonObject;
    if (typeof level !== "number" || typeof time !== "string") return undefined;
    return { level, time, message: typeof msg === "string" ? msg : JSON.stringify(msg), counts: countsOf(counts) };
  } catch {
    return undefined;
  }
}

/** Counts with all that they are shown by; a log from elsewhere may hold anything. */
function countsOf(value: unknown): DataCounts | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const counts = value as JsonObject;
  const numbers = ["records", "kept", "cut", "noAnswerLeft", "bad", "emptyAnswers", "maxLength", "longest"];
  const isWhole = numbers.every((key) => typeof counts[key] === "number") && Array.isArray(counts["unread"]);
  return isWhole && typeof counts["name"] === "string" ? (value as DataCounts) : undefined;
}

export const ownLines: readonly KnownFile[] = [
  {
    kind: "metrics",
    what: "the metrics of a run: a line for each step and each validation",
    is: ({ name, line }) =>
      name === "metrics.jsonl" || hasKeys(line, "step", "loss", "gradientNorm") || hasKeys(line, "event", "perplexity"),
    read: ({ path }) => {
      const { steps, evaluations, unreadable } = readMetricsFile(path);
      const [first, last] = [steps[0], steps.at(-1)];
      return {
        steps: steps.length,
        firstStep: first?.step,
        lastStep: last?.step,
        firstLoss: first?.loss,
        lastLoss: last?.loss,
        validations: evaluations.map(({ step, loss }) => ({ step, loss })),
        unreadable,
      };
    },
  },
  {
    kind: "receipt",
    what: "the receipt of a run: loss and digest of every step, each line chained to the one before",
    is: ({ name, line }) => name === "receipt.jsonl" || hasKeys(line, "event", "chain"),
    read: ({ path }) => {
      const { lines, problem, isCutOff } = readReceipt(readRegularFileSync(path));
      const [start] = lines;
      const of = (event: string) => lines.filter((line) => line.event === event).length;
      return {
        lines: lines.length,
        steps: of("step"),
        voided: of("void"),
        validations: of("eval"),
        acceptedChanges: lines.flatMap((line) =>
          line.event === "accepted" ? [`${line.field} after step ${line.step}`] : [],
        ),
        gaps: of("gap"),
        ...(start?.event === "start" && {
          zerogate: start.zerogate,
          node: start.node,
          engine: start.engine,
          hashes: start.hashes,
        }),
        chain: lines.at(-1)?.chain,
        isCutOff,
        problem: problem && `${problem}: what follows proves nothing`,
      };
    },
  },
  {
    kind: "log",
    what: "the log of a run: what it said, a line each",
    is: ({ name, line }) => name === "log.jsonl" || hasKeys(line, "level", "time", "msg"),
    read: ({ path }) => ({ ...readLogFile(path) }),
  },
];
