/** From a request to its route, and from what comes of it to an answer. */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Call, Reply } from "../api/call.ts";
import { type Route, routes } from "../api/routes.ts";
import type { Served } from "../api/served.ts";
import { ApiError, apiErrorOf } from "./api_error.ts";
import { readJson } from "./body.ts";
import type { Guard } from "./guard.ts";

/** Whether there is something to answer with. */
export interface ServerState {
  readonly phase: "loading" | "ready" | "draining" | "lost";
  readonly served: Served | undefined;
}

/** A request that was answered. */
export interface RequestLine {
  readonly id: string;
  readonly user: string;
  readonly method: string;
  /** The route's, without what a client put into it; undefined if there is none. */
  readonly route: string | undefined;
  /** The base or adapter that was asked. */
  readonly model?: string;
  readonly status: number;
  readonly ms: number;
  /** What went wrong. */
  readonly error?: Error;
}

/** How requests are answered. */
export interface RouterOptions {
  readonly guard: Guard;
  readonly maxBody: number;
  readonly state: () => ServerState;
  readonly onRequest: (line: RequestLine) => void;
  readonly onIgnored: (fields: readonly string[]) => void;
}

const OPEN_PATH = "/live";
const HEALTH_PATH = "/health";
const RETRY_LOADING = { "retry-after": "1" };

/** Answers a request. Never throws. */
export function createRouter(options: RouterOptions): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => void answer(options, request, response);
}

async function answer(options: RouterOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const began = performance.now();
  const { state, onRequest } = options;
  const line = { id: randomBytes(12).toString("hex"), user: "", method: request.method ?? "", route: undefined };
  const about: { -readonly [Key in keyof RequestLine]?: RequestLine[Key] } = line;
  const headers: Record<string, string> = { "x-request-id": line.id };
  response.on("close", () => {
    const ms = performance.now() - began;
    const status = response.writableFinished ? response.statusCode : 499;
    state().served?.metrics.request(about.model, status);
    onRequest({ ...line, ...about, status, ms });
  });
  try {
    const path = pathOf(request);
    Object.assign(headers, options.guard.admit(request));
    if (request.method === "OPTIONS") return preflight(response, headers);
    if (path === OPEN_PATH && request.method === "GET") {
      about.route = OPEN_PATH;
      return send(response, headers, { body: { status: "ok" } });
    }
    about.user = options.guard.identify(request).user;
    if (path === HEALTH_PATH && request.method === "GET") {
      about.route = HEALTH_PATH;
      return send(response, headers, healthOf(state()));
    }
    const { route, params } = routeOf(request.method ?? "", path);
    about.route = route.path;
    const body = route.shape ? await readJson(request, options.maxBody) : undefined;
    const onModel = (model: string) => void (about.model = model);
    const { onIgnored } = options;
    const call: Call = { id: line.id, user: about.user, params, body, response, headers, onIgnored, onModel };
    const reply = await route.handle(servedOf(state()), call);
    if (reply) send(response, headers, reply);
  } catch (thrown) {
    const seconds = () => state().served?.pool.secondsToNext() ?? 1;
    const error = apiErrorOf(thrown, seconds);
    about.error = thrown instanceof Error ? thrown : error;
    sendError(response, headers, error);
  }
}

/** The path of a request without what stands behind `?`. */
function pathOf({ url = "/" }: IncomingMessage): string {
  const [path = "/"] = url.split("?", 1);
  return path;
}

function routeOf(method: string, path: string): { readonly route: Route; readonly params: Record<string, string> } {
  const found: { readonly route: Route; readonly params: Record<string, string> }[] = [];
  for (const route of routes) {
    const params = matched(route.path, path);
    if (params) found.push({ route, params });
  }
  const own = found.find(({ route }) => route.method === method);
  if (own) return own;
  if (found.length === 0)
    throw new ApiError(404, `Cannot find ${method} ${path.slice(0, 200)}: there is no such route`);
  const allow = found.map(({ route }) => route.method).join(", ");
  throw new ApiError(405, `Cannot ${method} ${path.slice(0, 200)}: it takes ${allow}`, { headers: { allow } });
}

/** What a path says in the places of a route's path; undefined if it is not of it. */
function matched(pattern: string, path: string): Record<string, string> | undefined {
  const [fixed = "", name] = pattern.split(":");
  if (name === undefined) return path === pattern ? {} : undefined;
  const rest = path.slice(fixed.length);
  if (!path.startsWith(fixed) || rest === "") return undefined;
  try {
    return { [name]: decodeURIComponent(rest) };
  } catch {
    return undefined; // broken escapes name nothing
  }
}

function servedOf({ phase, served }: ServerState): Served {
  const why = { loading: "the model is being loaded", draining: "the server is ending", lost: "no worker is left" };
  if (phase !== "ready") throw unavailable(why[phase]);
  if (!served?.pool.isAnswering) throw unavailable("no worker is there at the moment");
  return served;
}

function unavailable(reason: string): ApiError {
  return new ApiError(503, `Cannot answer now: ${reason}`, { code: "unavailable", headers: RETRY_LOADING });
}

function healthOf({ phase, served }: ServerState): Reply {
  const workers = served?.pool.workers ?? [];
  const isWell = phase === "ready" && served?.pool.isAnswering === true;
  const load = served?.pool.load ?? { running: 0, waiting: 0 };
  const ready = workers.filter(({ isReady }) => isReady).length;
  return {
    status: isWell ? 200 : 503,
    body: { status: isWell ? "ok" : phase === "ready" ? "lost" : phase, workers: workers.length, ready, ...load },
  };
}

function preflight(response: ServerResponse, headers: Record<string, string>): void {
  response.writeHead(204, {
    ...headers,
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
  });
  response.end();
}

function send(response: ServerResponse, headers: Record<string, string>, reply: Reply): void {
  const { status = 200, body, contentType = "text/plain; charset=utf-8" } = reply;
  const isText = typeof body === "string";
  const bytes = Buffer.from(isText ? body : JSON.stringify(body));
  if (response.destroyed) return;
  response.writeHead(status, {
    ...headers,
    "content-type": isText ? contentType : "application/json; charset=utf-8",
    "content-length": bytes.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(bytes);
}

/** In the middle of a stream an error is its last event. */
function sendError(response: ServerResponse, headers: Record<string, string>, error: ApiError): void {
  if (!response.headersSent)
    return send(response, { ...headers, ...error.headers }, { status: error.status, body: error.body });
  if (!response.writableEnded) response.end(`data: ${JSON.stringify(error.body)}\n\n`);
}
