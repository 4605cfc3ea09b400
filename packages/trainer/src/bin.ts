/**
 * The process: arguments in, exit code out. What asks it to end, asks the command to end well, with everything saved; a
 * second Ctrl-C or SIGTERM ends it at once.
 */
import { runCli } from "./cli.ts";

/** 128 + the signal's number, as shells say it. */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Ending = keyof typeof exitCodes;

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

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  // The reader, for example `head`, has seen enough: a run is saved as after Ctrl-C. Never the second one: a terminal that is
  // closed sends SIGHUP and fails writes as well.
  if (!interrupt.signal.aborted) end("SIGINT");
});
process.stderr.on("error", () => {}); // nobody is there to hear it, and the log has it too

if (process.env["ZEROGATE_STOP_WITH_PARENT"]) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent && !interrupt.signal.aborted) end("SIGTERM");
  }, 500).unref();
}

const code = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  script: process.argv[1],
  signal: interrupt.signal,
  saveRequests,
});
process.exitCode = code === exitCodes.SIGINT ? exitCodes[ending] : code;
