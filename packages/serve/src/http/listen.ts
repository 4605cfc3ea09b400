/** The HTTP server: limits of time, size and number that belong to no route. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { InputError } from "@zerogate/core";

/** Where to listen, and for how many. */
export interface ListenOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly maxConnections: number;
}

/** A server that listens. */
export interface Listener {
  /** The port that it listens on. */
  readonly port: number;
  /** Takes no further connection, ends those that idle, and resolves once all have ended. */
  end(): Promise<void>;
  /** Ends all connections at once. */
  cut(): void;
}

const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;
const IDLE_MS = 65_000;
const HEADER_BYTES = 16_384;
const CHECK_MS = 1000;

/** @throws InputError if the address cannot be listened on. */
export async function listen(
  { host, port, maxConnections }: ListenOptions,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Listener> {
  const server = createServer(
    {
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      maxHeaderSize: HEADER_BYTES,
      connectionsCheckingInterval: CHECK_MS,
      requireHostHeader: true,
    },
    answer,
  );
  server.maxConnections = maxConnections;
  server.on("clientError", refuse);
  await opened(server, host, port);
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    end() {
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      return ended;
    },
    cut: () => server.closeAllConnections(),
  };
}

function opened(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const reasons: Readonly<Record<string, string>> = {
        EADDRINUSE: "another program listens there, choose another --port",
        EACCES: "this user may not, choose a --port above 1023",
        EADDRNOTAVAIL: "this machine has no such address, choose another --host",
        ENOTFOUND: "there is no such name, choose another --host",
      };
      reject(new InputError(`Cannot listen on ${host}:${port}`, reasons[cause.code ?? ""] ?? cause.message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/** Answers what is no HTTP, or too slow, or has too long headers. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, message] = answers[error.code ?? ""] ?? ["400 Bad Request", "Cannot read the request: it is no HTTP"];
  const body = JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code: null } });
  const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  socket.end(`${head}\r\n\r\n${body}`);
  socket.destroySoon();
}

const answers: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    "431 Request Header Fields Too Large",
    `Cannot read the request: its headers have more than ${HEADER_BYTES} bytes`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "Cannot read the request: it did not come in time"],
};
