/**
 * The `zerogate` command line. The commands stand in `commands/list.ts`; each declares its flags in `commands/NAME_flags.ts`,
 * and everything is loaded only when it is needed.
 */
import type { CommandContext } from "./commands/context.ts";
import { messageWithAdvice } from "./terminal/advice.ts";
import { continued } from "./terminal/plain_text.ts";
import { version } from "./version.ts";

/**
 * Runs one command line.
 * @returns 0 done, 1 failed, 2 unusable input or usage, 3 damaged files, 130 interrupted. Messages go to stderr.
 */
export async function runCli(argv: readonly string[], context: CommandContext): Promise<number> {
  const code = await runCommand(argv, context);
  const lost = await context.stdout.flush();
  if (lost === undefined) return code;
  context.stderr.write(`Cannot write the output: ${lost}\n`);
  return code === 0 ? 1 : code;
}

async function runCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  if (argv[0] === "--version" || argv[0] === "-V") {
    context.stdout.write(`${version}\n`);
    return 0;
  }
  const { setOwnName } = await import("@zerogate/run-config/words");
  setOwnName(context.env, context.script);
  try {
    const { runProgram } = await import("./cli/program.ts");
    return await runProgram(argv, context);
  } catch (error) {
    return await exitCodeOf(error, context);
  }
}

/** Prints what was thrown, unless that has been done. Returns its exit code. */
async function exitCodeOf(error: unknown, context: CommandContext): Promise<number> {
  const { isZerogateError } = await import("@zerogate/core/light");
  const isReported = error instanceof Error && error.name === "ReportedError"; // the trainer's; by name, so as not to load it
  const cause = isReported ? error.cause : error;
  if (context.signal.aborted && cause === context.signal.reason) return 130;
  const isOurs = !isZerogateError(cause, "input") && !isZerogateError(cause, "damaged");
  if (!isReported) {
    const withStack = isOurs && context.env["ZEROGATE_LOG_LEVEL"] === "debug";
    context.stderr.write(`${continued(await textOf(cause, withStack))}\n`);
  }
  if (isZerogateError(cause, "input")) return 2;
  return isOurs ? 1 : 3;
}

/** What nobody expected of a file is said in words as well; the stack is for faults of ours. */
async function textOf(error: unknown, withStack: boolean): Promise<string> {
  if (!(error instanceof Error)) return String(error);
  if (withStack && error.stack) return error.stack;
  if (!("syscall" in error)) return messageWithAdvice(error);
  const { reason } = await import("@zerogate/core/node");
  const path = "path" in error ? `Cannot use ${String(error.path)}: ` : "";
  return messageWithAdvice(new Error(`${path}${reason(error)}`));
}
