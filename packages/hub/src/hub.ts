/**
 * Requests to the Hub: redirects followed by hand, so that the token goes to the Hub's own host and nowhere else, within limits of
 * time and size. Proxies are those of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
 */
import type { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { InputError } from "@zerogate/core/light";
import { type Dispatcher, EnvHttpProxyAgent, request } from "undici";
import { failureOf, HubFailure } from "./hub_failure.ts";
import { type Environment, hubEndpoint, hubToken, isOffline } from "./hub_settings.ts";

const MAX_REDIRECTS = 5;
const CONNECT_MS = 15_000;
/** Until an answer begins, and between two parts of it. */
const SILENCE_MS = 30_000;

/** An answer whose body is still to be read, or dropped with `drop`. */
export interface HubAnswer {
  readonly status: number;
  /** Of who answered in the end. */
  readonly headers: Headers;
  /** Of the Hub itself, which may have sent us elsewhere. */
  readonly ownHeaders: Headers;
  readonly body: Readable;
  /** Reads none of the body. */
  drop(): Promise<void>;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** What a request takes. */
export interface HubRequest {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** A Hub to ask. */
export interface Hub {
  /** Address, without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly env: Environment;
  readonly dispatcher: Dispatcher;
  /** Waits before a request is repeated. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /**
   * Asks for a path of the Hub, as `/api/models/OWNER/NAME`, or for a whole address.
   *
   * @throws HubFailure if nobody answers or a redirect cannot be followed; every status is an answer.
   */
  ask(path: string, request: HubRequest): Promise<HubAnswer>;
  /** Ends its connections. */
  close(): Promise<void>;
}

/** How a Hub is opened. */
export interface HubOptions {
  /** @default the variables of this process */
  readonly env?: Environment;
  /** Waits before a request is repeated. @default a timer */
  readonly pause?: Hub["pause"];
}

/**
 * Opens the Hub that the environment names; nothing is asked yet.
 *
 * @throws InputError if `HF_HUB_OFFLINE` forbids it, or an address or token cannot be one.
 * @example
 * const hub = openHub();
 * try {
 *   await download({ kind: "model", id: "Qwen/Qwen3-0.6B", revision: "main" }, {}, hub);
 * } finally {
 *   await hub.close();
 * }
 */
export function openHub({ env = process.env, pause = sleep }: HubOptions = {}): Hub {
  if (isOffline(env)) {
    throw new InputError(
      "Cannot ask the Hub",
      "HF_HUB_OFFLINE is set, which forbids it: unset it, or use what is here",
    );
  }
  const [endpoint, token] = [hubEndpoint(env), hubToken(env)];
  const proxy = (name: string) => env[name.toLowerCase()] ?? env[name] ?? "";
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: proxy("HTTP_PROXY"),
    httpsProxy: proxy("HTTPS_PROXY"),
    noProxy: proxy("NO_PROXY"),
    connect: { timeout: CONNECT_MS },
    headersTimeout: SILENCE_MS,
    bodyTimeout: SILENCE_MS,
  });
  const ask = (path: string, asked: HubRequest) => {
    const address = path.startsWith("/") ? `${endpoint}${path}` : path;
    return follow(address, asked, { origin: new URL(endpoint).origin, token, dispatcher });
  };
  const close = async () => await dispatcher.destroy();
  return { endpoint, token, env, dispatcher, pause, ask, close };
}

const sleep = async (ms: number, signal: AbortSignal): Promise<void> => {
  await wait(ms, undefined, { signal });
};

async function follow(
  address: string,
  { method = "GET", headers = {}, signal }: HubRequest,
  own: { readonly origin: string; readonly token: string | undefined; readonly dispatcher: Dispatcher },
): Promise<HubAnswer> {
  let at = new URL(address);
  let ownHeaders: Headers | undefined;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const secret = own.token !== undefined && at.origin === own.origin ? { authorization: `Bearer ${own.token}` } : {};
    const sent = { "user-agent": "zerogate", "accept-encoding": "identity", ...headers, ...secret };
    const answer = await request(at, { dispatcher: own.dispatcher, method, headers: sent, signal }).catch(
      (cause: unknown) => {
        signal.throwIfAborted();
        throw failureOf(cause, at);
      },
    );
    const { statusCode: status, headers: got, body } = answer;
    ownHeaders ??= got;
    const drop = async () => {
      await body.dump({ limit: 65_536, signal }).catch(() => {});
    };
    const { location } = got;
    if (status < 300 || status > 399 || status === 304 || typeof location !== "string") {
      return { status, headers: got, ownHeaders, body, drop };
    }
    await drop();
    at = nextAddress(location, at);
  }
  throw new HubFailure(`${new URL(address).host} sends us on more than ${MAX_REDIRECTS} times`);
}

/** @throws HubFailure for an address that is none, or that gives up encryption. */
function nextAddress(location: string, at: URL): URL {
  if (!URL.canParse(location, at.href)) throw new HubFailure(`${at.host} sends us on to what is no address`);
  const next = new URL(location, at);
  if (next.protocol === "https:" || (next.protocol === "http:" && at.protocol === "http:")) return next;
  throw new HubFailure(`${at.host} sends us on to ${next.protocol}//, which is not encrypted`);
}
