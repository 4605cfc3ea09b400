/** Errors between threads, processes and ranks. */
import { type ErrorCode, InputError, isZerogateError } from "./errors.ts";

/** An error as plain data: structured clone drops an error's class, name and own fields (measured on Node 20). */
export interface EncodedError {
  readonly name: string;
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly stack: string | undefined;
  readonly problems: readonly string[] | undefined;
  readonly cause: EncodedError | undefined;
}

/** Causes of causes that go along; more means that an error is its own cause. */
const MAX_CAUSES = 10;

/** Makes anything thrown fit for a message port. */
export function encodeError(thrown: unknown): EncodedError {
  return encode(thrown, MAX_CAUSES);
}

function encode(thrown: unknown, causesLeft: number): EncodedError {
  if (!(thrown instanceof Error)) {
    return {
      name: "Error",
      code: undefined,
      message: String(thrown),
      stack: undefined,
      problems: undefined,
      cause: undefined,
    };
  }
  const { name, message, stack, cause } = thrown;
  const problems = thrown instanceof InputError ? thrown.problems : undefined;
  const code = isZerogateError(thrown) ? thrown.code : undefined;
  const hasCause = cause !== undefined && causesLeft > 0;
  return { name, code, message, stack, problems, cause: hasCause ? encode(cause, causesLeft - 1) : undefined };
}

/** The other direction: an `InputError` comes back as one, everything else as an `Error` of the same name, code and stack. */
export function decodeError(encoded: EncodedError): Error {
  const options = encoded.cause ? { cause: decodeError(encoded.cause) } : undefined;
  const error = encoded.problems ? new InputError("", encoded.problems, options) : new Error(encoded.message, options);
  error.message = encoded.message;
  if (error.name !== encoded.name) Object.defineProperty(error, "name", { value: encoded.name });
  if (encoded.code !== undefined) Object.defineProperty(error, "code", { value: encoded.code });
  if (encoded.stack !== undefined) error.stack = encoded.stack;
  return error;
}
