/**
 * The errors that a caller may want to tell apart. Everything else is a built-in class by meaning
 * (`RangeError`, `TypeError`) and means a fault of ours.
 */

/**
 * What the user gave cannot be used: a file, a flag, a config, a dataset. Nothing was written.
 * The message has the form `Cannot <do this>: <what is>, <what is needed>`; several problems are listed one a line.
 */
export class InputError extends Error {
  override readonly name = "InputError";
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

/**
 * The device of an engine is gone, and the engine with it: nothing that it is asked for will ever work again. A worker that
 * throws it is taken for dead. Between threads and processes it is known by its name.
 */
export class EngineLostError extends Error {
  override readonly name = "EngineLostError";
}

/** An error as plain data: structured clone drops an error's class, name and own fields (measured on Node 20). */
export interface EncodedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly problems: readonly string[] | undefined;
  readonly cause: EncodedError | undefined;
}

/** Causes of causes that are told; more means that an error is its own cause. */
const MAX_CAUSES = 10;

/** Makes anything thrown fit for a message port. */
export function encodeError(thrown: unknown): EncodedError {
  return encode(thrown, MAX_CAUSES);
}

function encode(thrown: unknown, causesLeft: number): EncodedError {
  if (!(thrown instanceof Error)) {
    return { name: "Error", message: String(thrown), stack: undefined, problems: undefined, cause: undefined };
  }
  const { name, message, stack, cause } = thrown;
  const problems = thrown instanceof InputError ? thrown.problems : undefined;
  const isTold = cause !== undefined && causesLeft > 0;
  return { name, message, stack, problems, cause: isTold ? encode(cause, causesLeft - 1) : undefined };
}

/** The other direction: an `InputError` comes back as one, everything else as an `Error` of the same name and stack. */
export function decodeError(encoded: EncodedError): Error {
  const options = encoded.cause ? { cause: decodeError(encoded.cause) } : undefined;
  const error = encoded.problems ? new InputError("", encoded.problems, options) : new Error(encoded.message, options);
  error.message = encoded.message;
  if (error.name !== encoded.name) Object.defineProperty(error, "name", { value: encoded.name });
  if (encoded.stack !== undefined) error.stack = encoded.stack;
  return error;
}
