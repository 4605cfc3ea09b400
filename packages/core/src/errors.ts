/**
 * The errors that a caller may want to tell apart, each with a code. Everything else is a built-in class by meaning
 * (`RangeError`, `TypeError`) and means a fault of ours.
 */
import { type BadCell, describeBadNumbers } from "./sum/bad_numbers.ts";

/**
 * - `input`: a file, flag, config or dataset cannot be used; nothing was written (exit code 2).
 * - `damaged`: files are no longer what was written, and nothing whole is left to go on with (exit code 3).
 * - `engine-lost`: the device of an engine is gone.
 * - `device-died`: a worker ended by itself, or was given up because it hung.
 * - `deadly-cell`: two workers ended while they computed the same cell or prompt.
 * - `step-refused`: the numbers of a step cannot be used.
 * - `rank-late`: another rank of a job did not come, or came for something else.
 * - `bad-logits`: the model's numbers say nothing about the next token of one text.
 * - `queue-full`: a scheduler has as many texts as it takes.
 * - `deadline`: a text was not done in its time.
 */
export type ErrorCode =
  | "input"
  | "damaged"
  | "engine-lost"
  | "device-died"
  | "deadly-cell"
  | "step-refused"
  | "rank-late"
  | "bad-logits"
  | "queue-full"
  | "deadline";

/** What all errors with a code have in common. */
export abstract class ZerogateError extends Error {
  abstract readonly code: ErrorCode;
}

/**
 * Whether an error is one of these, of this code if one is given. Errors of other threads, processes and ranks are known too:
 * of them an `InputError` keeps its class, and all keep code, message and stack.
 *
 * @example
 * try {
 *   await loadAdapter("runs/first/adapter", config);
 * } catch (error) {
 *   if (!isZerogateError(error, "input")) throw error;
 *   console.log(error.message); // Cannot use the adapter …: …
 * }
 */
export function isZerogateError<Code extends ErrorCode>(
  error: unknown,
  code?: Code,
): error is Error & { readonly code: Code } {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return code === undefined ? codes.has(error.code) : error.code === code;
}

const codes: ReadonlySet<unknown> = new Set<ErrorCode>([
  "input",
  "damaged",
  "engine-lost",
  "device-died",
  "deadly-cell",
  "step-refused",
  "rank-late",
  "bad-logits",
  "queue-full",
  "deadline",
]);

/**
 * What the user gave cannot be used: a file, a flag, a config, a dataset. Nothing was written.
 * The message has the form `Cannot <do this>: <what is>, <what is needed>`; several problems are listed one a line.
 *
 * @example
 * new InputError("Cannot read the file", "it is empty, give one with text").message; // "Cannot read the file: it is empty, give one with text"
 */
export class InputError extends ZerogateError {
  override readonly name = "InputError";
  readonly code = "input";
  readonly problems: readonly string[];

  constructor(attempt: string, problems: string | readonly string[], options?: ErrorOptions) {
    const list = typeof problems === "string" ? [problems] : problems;
    super(
      list.length === 1 ? `${attempt}: ${list[0]}` : `${attempt}:\n${list.map((p) => `  - ${p}`).join("\n")}`,
      options,
    );
    this.problems = list;
  }
}

/** Files are no longer what was written, and nothing whole is left to go on with. */
export class DamagedError extends ZerogateError {
  override readonly name = "DamagedError";
  readonly code = "damaged";
}

/**
 * The device of an engine is gone, and the engine with it: nothing that it is asked for will ever work again. A worker that
 * throws it counts as dead.
 */
export class EngineLostError extends ZerogateError {
  override readonly name = "EngineLostError";
  readonly code = "engine-lost";
}

/** A device ended by itself, or was given up because it hung. `cause` is what its host said. */
export class DeviceDiedError extends ZerogateError {
  override readonly name = "DeviceDiedError";
  readonly code = "device-died";
  readonly device: number;
  readonly reason: string;
  /** The last call that it was sent, finished or not, and the engine's last operation in it. */
  readonly lastOperation: string;

  constructor(device: number, lastOperation: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`Worker ${device} died, last at ${lastOperation}: ${reason}`, { cause });
    this.device = device;
    this.reason = reason;
    this.lastOperation = lastOperation;
  }
}

/** Two workers ended while they computed the same cell (or prompt), so a third is not risked. Parameters are untouched. */
export class DeadlyCellError extends ZerogateError {
  override readonly name = "DeadlyCellError";
  readonly code = "deadly-cell";
  /** For example `step 12`. */
  readonly of: string;
  /** Number of the cell within it. */
  readonly cell: number;
  readonly samples: readonly number[];

  constructor(of: string, cell: number, samples: readonly number[], cause: DeviceDiedError) {
    const what = samples.length > 0 ? `cell ${cell} (samples ${samples.join(", ")})` : `prompt ${cell}`;
    const last = `${cause.reason}, at ${cause.lastOperation}`;
    super(`Cannot finish ${of}: ${what} ended two workers, last by: ${last}`, { cause });
    this.of = of;
    this.cell = cell;
    this.samples = samples;
  }
}

/** A step was computed whole, but its gradient or loss has numbers that cannot be added. Parameters are untouched. */
export class StepRefusedError extends ZerogateError {
  override readonly name = "StepRefusedError";
  readonly code = "step-refused";
  readonly step: number;
  readonly badCells: readonly BadCell[];

  constructor(step: number, badCells: readonly BadCell[]) {
    const lines = badCells.map((bad) => {
      const what = describeBadNumbers(bad, (parameter) => `parameter ${parameter}`);
      return `  - cell ${bad.cell} (samples ${bad.samples.join(", ")}): ${what}`;
    });
    const advice = "lower the learning rate or inspect these samples";
    super(`Cannot take step ${step}: numbers are not finite or too large, ${advice}\n${lines.join("\n")}`);
    this.step = step;
    this.badCells = badCells;
  }
}

/** A rank did not come in time, or came for something else. The run cannot go on. */
export class RankLateError extends ZerogateError {
  override readonly name = "RankLateError";
  readonly code = "rank-late";
}

/** The logits of a text are not numbers, so no token follows; other texts of its passes go on. */
export class BadLogitsError extends ZerogateError {
  override readonly name = "BadLogitsError";
  readonly code = "bad-logits";

  /** @param text names the text and its adapter. */
  constructor(text: string, { position, id, logit }: { position: number; id: number; logit: number }) {
    const found = `the logit of token ${id} at position ${position} is ${logit}`;
    super(
      `Cannot continue ${text}: ${found}, look for numbers in the base or the adapter that are not finite or too large`,
    );
  }
}

/** A scheduler has as many texts as it takes: submit this one again later. */
export class QueueFullError extends ZerogateError {
  override readonly name = "QueueFullError";
  readonly code = "queue-full";
}

/** A text was not done in its time. */
export class DeadlineError extends ZerogateError {
  override readonly name = "DeadlineError";
  readonly code = "deadline";
  /** Tokens that were handed out before. */
  readonly newTokens: number;

  constructor(text: string, newTokens: number) {
    super(
      `Cannot finish ${text}: its deadline passed after ${newTokens} new tokens, give it more time or ask for fewer`,
    );
    this.newTokens = newTokens;
  }
}
