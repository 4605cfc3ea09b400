/** Errors as OpenAI's API says them, and what our own errors become. */
import { isZerogateError } from "@zerogate/core";

/** What an error says beside its status. */
export interface ErrorFields {
  readonly type?: string;
  /** The field of the request that is at fault. */
  readonly param?: string | null;
  readonly code?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error with the status that a request is answered with. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly errorCode: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, fields: ErrorFields = {}, options?: ErrorOptions) {
    super(message, options);
    const { type = status < 500 ? "invalid_request_error" : "server_error", param = null, code = null } = fields;
    this.status = status;
    this.type = type;
    this.param = param;
    this.errorCode = code;
    this.headers = fields.headers ?? {};
  }

  /** The body of the answer. */
  get body(): { readonly error: object } {
    const { message, type, param, errorCode } = this;
    return { error: { message, type, param, code: errorCode } };
  }
}

/** A request that cannot be answered as it is. */
export const badRequest = (message: string, param: string | null = null, code: string | null = null): ApiError =>
  new ApiError(400, message, { param, code });

/** @param retryAfter Seconds, for a queue that is full. */
export function apiErrorOf(error: unknown, retryAfter: () => number): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const cause = { cause: error };
  if (isZerogateError(error, "input")) return new ApiError(400, message, {}, cause);
  if (isZerogateError(error, "damaged")) return new ApiError(400, message, { code: "damaged" }, cause);
  if (isZerogateError(error, "queue-full")) {
    const headers = { "retry-after": String(retryAfter()) };
    return new ApiError(429, message, { type: "rate_limit_error", code: "queue_full", headers }, cause);
  }
  if (isZerogateError(error, "deadline"))
    return new ApiError(408, message, { type: "timeout_error", code: "deadline" }, cause);
  if (isZerogateError(error, "bad-logits")) return new ApiError(500, message, { code: "bad_logits" }, cause);
  return new ApiError(500, message, {}, cause);
}
