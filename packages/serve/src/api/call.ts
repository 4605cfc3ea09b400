/** A request on its way through the routes, and what it is answered with. */
import type { ServerResponse } from "node:http";
import { badRequest } from "../http/api_error.ts";
import { type EventStream, openEventStream, type StreamListener } from "../http/event_stream.ts";
import { namesForHeader, unknownFields, withoutNulls } from "./fields.ts";
import type { BodyShape } from "./shapes.ts";

/** A request. */
export interface Call {
  /** Names it in answers and in the log. */
  readonly id: string;
  /** Who asks; empty without tokens. */
  readonly user: string;
  /** What the path says. */
  readonly params: Readonly<Record<string, string>>;
  /** The body as JSON; undefined for methods without one. */
  readonly body: unknown;
  readonly response: ServerResponse;
  /** Headers of the answer; a handler may add some. */
  readonly headers: Record<string, string>;
  /** Called with names of fields that nothing knows. */
  readonly onIgnored: (fields: readonly string[]) => void;
  /** Receives which base or adapter is asked, once it is known that there is one. */
  readonly onModel: (name: string) => void;
}

/** An answer that is no stream. */
export interface Reply {
  /** @default 200 */
  readonly status?: number;
  /** An object is sent as JSON, a text as it is. */
  readonly body: object | string;
  /** Of a text. @default plain text */
  readonly contentType?: string;
}

/** Answers a request; undefined if it has answered by itself. */
export type Handler<Context> = (context: Context, call: Call) => Promise<Reply | undefined> | Reply | undefined;

/**
 * Returns the body of a call in the form that a route takes; names of fields that nothing knows go into a header of the answer.
 * @throws ApiError 400 with the first field that is at fault.
 */
export function bodyOf<Body>(call: Call, { schema, fields }: BodyShape<Body>): Body {
  const { body } = call;
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw badRequest("Cannot use the body: it is no object");
  const said = withoutNulls(body as Record<string, unknown>);
  const ignored = unknownFields(said, fields);
  if (ignored.length > 0) {
    call.headers["x-zerogate-ignored"] = namesForHeader(ignored);
    call.onIgnored(ignored);
  }
  const parsed = schema.safeParse(said);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.join(".") ?? "";
  throw badRequest(
    `Cannot use ${place === "" ? "the body" : place}: ${issue?.message ?? "it is wrong"}`,
    place || null,
  );
}

/** Opens a stream of events as the answer. */
export function streamOf(call: Call, listener: StreamListener): EventStream {
  return openEventStream(call.response, call.headers, listener);
}

/** Calls once if the client leaves before its answer has ended. */
export function onLeaving({ response }: Call, leave: () => void): void {
  // It may have left while its request was read or its chat written.
  if (response.destroyed) return leave();
  response.once("close", () => {
    if (!response.writableFinished) leave();
  });
}
