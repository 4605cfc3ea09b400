/** The log of a run: JSON lines in `RUN/log.jsonl`, and the same as readable lines for whoever watches. */
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { type LogLevel, logLevels } from "@zerogate/run-config";
import { type AppendFile, createTrouble, openAppendFile } from "@zerogate/run-files";
import { type Level, type Logger, multistream, pino, stdTimeFunctions } from "pino";
import { oneLine } from "./status/fit.ts";
import { continued, plainText } from "./terminal/plain_text.ts";

export interface RunLog {
  readonly logger: Logger;
  /** Lines that no file has got, in JSON. */
  readonly kept: readonly string[];
  close(): void;
}

/** The level of a config, else of `ZEROGATE_LOG_LEVEL`, else `info`. Throws an `InputError` on an unknown one. */
export function logLevel(
  configured: LogLevel | undefined,
  env: Readonly<Record<string, string | undefined>>,
): LogLevel {
  const named = env["ZEROGATE_LOG_LEVEL"];
  if (configured !== undefined || named === undefined || named === "") return configured ?? "info";
  const level = logLevels.find((known) => known === named);
  if (level) return level;
  throw new InputError(
    "Cannot start the log",
    `ZEROGATE_LOG_LEVEL is "${named}", expected one of ${logLevels.join(", ")}`,
  );
}

/**
 * @param options.runDir the folder of `log.jsonl`; without it lines are only printed.
 * @param options.print gets readable lines, for example `status.log`: it must not mix with the status block.
 * @param options.earlier lines that another log kept before there was a folder; those of this level come first in the file.
 */
export function openLog(options: {
  readonly level: LogLevel;
  readonly print: (line: string) => void;
  readonly runDir?: string | undefined;
  readonly earlier?: readonly string[];
}): RunLog {
  const { level, print, runDir, earlier = [] } = options;
  const printed = {
    level: level as Level,
    stream: { write: (json: string) => void (levelOf(json) < FATAL && print(readable(json))) },
  };
  // Trouble with the log itself is printed only.
  const trouble = createTrouble("log.jsonl", (message) => print(`warning: ${message}`));
  const file = runDir === undefined ? undefined : openAppendFile(join(runDir, "log.jsonl"), trouble);
  const kept: string[] = [];
  const keep = { write: (json: string) => void (kept.length < MAX_KEPT && kept.push(json)) };
  const stream = file ? written(file) : keep;
  for (const json of earlier) if (levelOf(json) >= (pino.levels.values[level] ?? Infinity)) stream.write(json);
  const logger = pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime },
    multistream([printed, { level: level as Level, stream }]),
  );
  return { logger, kept, close: () => file?.close() };
}

/** What ends the command, which says it itself. */
const FATAL = 60;

/** A run warns of a few things before it begins; more than this is a fault of ours. */
const MAX_KEPT = 10_000;

const levelOf = (json: string): number => Number((JSON.parse(json) as { level: unknown }).level);

/** Whoever prints the file to a terminal is not steered by it either. */
const written = (file: AppendFile) => ({ write: (json: string) => file.write(plainText(json)) });

/** `warning: worker cpu 1 is lost  cell=12`; plain messages of level info stand alone, and say their counts in words. */
function readable(json: string): string {
  const { level, time: _, msg, err, counts: _said, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const name = level === 30 ? "" : `${levelNames[Number(level)] ?? "log"}: `;
  const values = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const problem = err as { readonly message?: string } | undefined;
  const text = [msg, problem?.message].filter((part) => part !== undefined && part !== "");
  const line = [`${name}${[...new Set(text)].join(": ")}`, ...values].join("  ");
  return continued(line).split("\n").map(oneLine).join("\n");
}

const levelNames: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  40: "warning",
  50: "error",
  60: "fatal",
};
