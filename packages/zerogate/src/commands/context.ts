/** What a command gets from the outside, so that only `bin.ts` touches `process`. */
import type { Messages, Results } from "../terminal/output.ts";

/** Streams, environment and signals of a command line. */
export interface CommandContext {
  readonly stdout: Results;
  /** Progress and logs. */
  readonly stderr: Messages;
  readonly stdin: NodeJS.ReadableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The file that node was started with. */
  readonly script?: string | undefined;
  /** Aborted by Ctrl-C and other ends from outside: finish what must not be cut, then return 130. */
  readonly signal: AbortSignal;
  /** Checkpoints asked for so far, by SIGUSR1. */
  readonly saveRequests: { readonly count: number };
}

/**
 * 0 done, 1 failed (thrown errors), different (`adapters diff`), 2 unusable input (thrown
 * `InputError`), 3 damaged (thrown `DamagedError`) or not as it should be (`verify`), 130 interrupted.
 */
export type ExitCode = 0 | 1 | 3 | 130;

/** Writes one JSON object as one line. */
export function printJson(context: CommandContext, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value)}\n`);
}
