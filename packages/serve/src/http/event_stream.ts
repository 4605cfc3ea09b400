/** Server-sent events: chunks of an answer, comments that keep proxies awake, and a reader who may be slow. */
import type { ServerResponse } from "node:http";

/** A stream of events to one client. */
export interface EventStream {
  /** Whether the client has been sent a status. */
  readonly isOpen: boolean;
  send(data: object): void;
  /** Sends the last event, `[DONE]`, and ends. */
  done(): void;
  /** Sends an error as the last event. */
  fail(body: object): void;
}

/** What a slow reader leads to. */
export interface StreamListener {
  /** Too much waits to be sent: make no more of it. */
  onFull(): void;
  onDrained(): void;
}

/** Bytes that may wait to be sent. */
const MAX_UNSENT = 2 ** 20;
/** How long a reader may take none of them. */
const STUCK_MS = 30_000;
const KEEP_ALIVE_MS = 15_000;

/** Opens a stream, whose status is sent with the first event: what fails before has a status of its own. */
export function openEventStream(
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
  listener: StreamListener,
): EventStream {
  let stuck: NodeJS.Timeout | undefined;
  const awake = setInterval(() => write(": still here\n\n"), KEEP_ALIVE_MS);
  response.once("close", () => {
    clearInterval(awake);
    clearTimeout(stuck);
  });

  function open(): void {
    if (response.headersSent) return;
    response.writeHead(200, {
      ...headers,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
  }
  function write(text: string): void {
    if (response.writableEnded || response.destroyed) return;
    open();
    response.write(text);
    if (response.writableLength <= MAX_UNSENT || stuck) return;
    listener.onFull();
    stuck = setTimeout(() => response.destroy(), STUCK_MS);
    response.once("drain", () => {
      clearTimeout(stuck);
      stuck = undefined;
      listener.onDrained();
    });
  }
  function end(text: string): void {
    clearInterval(awake);
    write(text);
    response.end();
  }

  return {
    get isOpen() {
      return response.headersSent;
    },
    send: (data) => write(`data: ${JSON.stringify(data)}\n\n`),
    done: () => end("data: [DONE]\n\n"),
    fail: (body) => end(`data: ${JSON.stringify(body)}\n\n`),
  };
}
