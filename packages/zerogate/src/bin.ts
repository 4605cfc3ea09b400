/**
 * The process: arguments in, exit code out. What asks it to end, asks the command to end well, with everything saved; a
 * second Ctrl-C or SIGTERM ends it at once.
 */
import { messageWithAdvice } from "./terminal/advice.ts";
import { openMessages, openResults } from "./terminal/output.ts";

/** 128 + the signal's number, as shells say it. */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Ending = keyof typeof exitCodes;

const stdout = openResults(process.stdout);
const stderr = openMessages(process.stderr);

// Faults of ours that no command could catch, and what a library throws outside of every call: nothing is known any more.
process.on("uncaughtException", (error: unknown) => {
  const isDebug = process.env["ZEROGATE_LOG_LEVEL"] === "debug";
  const said = error instanceof Error ? (isDebug && error.stack) || messageWithAdvice(error) : String(error);
  stderr.write(`Cannot go on: ${said}\n`);
  process.exit(1);
});

const interrupt = new AbortController();
let ending: Ending = "SIGINT";
const end = (signal: Ending) => {
  if (interrupt.signal.aborted) {
    if (signal !== "SIGHUP") process.exit(exitCodes[signal]);
    return;
  }
  ending = signal;
  interrupt.abort();
};
process.on("SIGINT", () => end("SIGINT"));
process.on("SIGTERM", () => end("SIGTERM"));
// A run whose output goes to files was meant to outlive its terminal: nohup. (Node itself forgets that SIGHUP is ignored.)
process.on("SIGHUP", () => {
  if (process.stdout.isTTY || process.stderr.isTTY) end("SIGHUP");
});

const saveRequests = { count: 0 };
if (process.platform !== "win32") process.on("SIGUSR1", () => saveRequests.count++);

if (process.env["ZEROGATE_STOP_WITH_PARENT"]) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent && !interrupt.signal.aborted) end("SIGTERM");
  }, 500).unref();
}

const { env, stdin } = process;
// Not before what is thrown is heard: with too few open files the modules themselves cannot be loaded.
const { runCli } = await import("./cli.ts");
const code = await runCli(process.argv.slice(2), {
  stdout,
  stderr,
  stdin,
  env,
  script: process.argv[1],
  signal: interrupt.signal,
  saveRequests,
});
process.exitCode = code === exitCodes.SIGINT ? exitCodes[ending] : code;
