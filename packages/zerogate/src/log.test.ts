import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { logLevel, openLog } from "./log.ts";

test("a line goes to the file as JSON and to the watcher as text; lower levels go nowhere", () => {
  const runDir = mkdtempSync(join(tmpdir(), "zerogate-log-"));
  const printed: string[] = [];
  const log = openLog({ level: "info", runDir, print: (line) => printed.push(line) });
  const { logger } = log;
  logger.debug("not shown");
  logger.info("loaded");
  logger.warn({ worker: "cpu 1", cell: 12 }, "worker lost");
  logger.error(new Error("disk full"));
  logger.error({ err: new Error("disk full") }, "checkpoint not written");
  log.close();
  expect(printed).toEqual([
    "loaded",
    "warning: worker lost  worker=cpu 1  cell=12",
    "error: disk full",
    "error: checkpoint not written: disk full",
  ]);
  const lines = readFileSync(join(runDir, "log.jsonl"), "utf8").trim().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
    "loaded",
    "worker lost",
    "disk full",
    "checkpoint not written",
  ]);
});

test("what steers a terminal is in neither, and lines of a message stay with it [T-B6]", () => {
  const runDir = mkdtempSync(join(tmpdir(), "zerogate-log-"));
  const printed: string[] = [];
  const log = openLog({ level: "info", runDir, print: (line) => printed.push(line) });
  const hostile = "no \u001b[2J\u009b2J\u202e\nwarning: forged";
  log.logger.warn(hostile);
  log.close();
  expect(printed).toEqual(["warning: no  \n  warning: forged"]);
  const text = readFileSync(join(runDir, "log.jsonl"), "utf8");
  expect(text).not.toMatch(/[\u007f-\u009f\u202e]/);
  expect(JSON.parse(text)).toMatchObject({ msg: hostile });
});

test("lines from before there was a folder are in its file first, those of its level [T-B12]", () => {
  const runDir = mkdtempSync(join(tmpdir(), "zerogate-log-"));
  const before = openLog({ level: "debug", print() {} });
  before.logger.warn("3 records are cut");
  before.logger.info("loading");
  const log = openLog({ level: "warn", runDir, print() {}, earlier: before.kept });
  log.logger.error("later");
  log.close();
  const lines = readFileSync(join(runDir, "log.jsonl"), "utf8").trim().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["3 records are cut", "later"]);
  expect(log.kept).toEqual([]);
});

test("silent prints nothing", () => {
  const printed: string[] = [];
  openLog({ level: "silent", print: (line) => printed.push(line) }).logger.error("no");
  expect(printed).toEqual([]);
});

test("the level comes from the config, then the environment, then is info", () => {
  expect(logLevel("warn", { ZEROGATE_LOG_LEVEL: "debug" })).toBe("warn");
  expect(logLevel(undefined, { ZEROGATE_LOG_LEVEL: "debug" })).toBe("debug");
  expect(logLevel(undefined, {})).toBe("info");
  expect(() => logLevel(undefined, { ZEROGATE_LOG_LEVEL: "loud" })).toThrow(
    'Cannot start the log: ZEROGATE_LOG_LEVEL is "loud", expected one of trace, debug, info, warn, error, silent',
  );
});
