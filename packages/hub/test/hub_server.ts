/**
 * A Hub of this machine, for tests: listings in pages, files with tags and ranges, large ones by a redirect to another host, uploads and
 * commits; and faults of each kind for any request.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { type Pushes, pushAnswer } from "./hub_pushes.ts";

export interface ServedRepo {
  readonly id: string;
  readonly kind?: "model" | "dataset";
  /** By path. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Large files, which another host serves. Default: safetensors, bin and parquet. */
  readonly isLfs?: (path: string) => boolean;
  /** Branches and tags; all mean the one commit. Default: main. */
  readonly refs?: readonly string[];
  /** Answered instead of everything about it: 401, 403, 404 with this code. */
  readonly refused?: { readonly status: number; readonly code?: string; readonly message?: string };
  readonly license?: string;
  readonly gated?: string;
}

/** What is asked: `path` without query, `range` as it was sent. */
interface Asked {
  readonly host: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly authorization: string | undefined;
}

/** What goes wrong with an answer; undefined parts go right. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection ends after this many bytes of the body. */
  readonly cutAfter?: number;
  /** Instead of the file's bytes. */
  readonly content?: Uint8Array;
  /** Milliseconds between two parts of 16 kB. */
  readonly dripMs?: number;
  /** No answer at all. */
  readonly isSilent?: boolean;
  /** Sends all bytes, whatever range was asked for. */
  readonly ignoresRange?: boolean;
}

export interface HubServer {
  readonly endpoint: string;
  readonly asked: readonly Asked[];
  /** Bytes of bodies that were sent for a path of a repository. */
  readonly sent: ReadonlyMap<string, number>;
  readonly pushes: Pushes;
  /** Decides on every request. */
  fault: (asked: Asked) => Fault | undefined;
  /** Entries in a page of a listing. */
  pageSize: number;
  readonly repos: ServedRepo[];
  forget(): void;
  close(): Promise<void>;
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
export const gitSha = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

const isLarge = (path: string) => /\.(?:safetensors|bin|parquet)$/.test(path);

/** The commit of a repository: as with Git, another content is another commit. */
export function commitOf({ id, files }: ServedRepo): string {
  const hash = createHash("sha1").update(id);
  for (const [path, bytes] of Object.entries(files)) hash.update(`${path}\0`).update(bytes);
  return hash.digest("hex");
}

export async function openHubServer(...repos: ServedRepo[]): Promise<HubServer> {
  const asked: Asked[] = [];
  const sent = new Map<string, number>();
  const pushes: Pushes = { created: [], uploads: new Map(), commits: [], isPrivate: undefined };
  const state: Pick<HubServer, "fault" | "pageSize"> = { fault: () => undefined, pageSize: 1000 };
  const answer = (host: Asked["host"]) => (request: IncomingMessage, response: ServerResponse) => {
    void (async () => {
      const { pathname: path, searchParams } = new URL(request.url ?? "/", "http://x");
      const { range, "if-range": ifRange, authorization } = request.headers;
      const what = { host, method: request.method ?? "", path, range, ifRange: ifRange as string, authorization };
      asked.push(what);
      const fault = state.fault(what) ?? {};
      if (fault.isSilent) return;
      if (fault.status !== undefined) return void response.writeHead(fault.status, { ...fault.headers }).end("{}");
      if (host === "hub" && request.method === "POST") return await pushAnswer(request, response, path, cdn, pushes);
      if (host === "cdn" && request.method === "PUT") return await pushAnswer(request, response, path, cdn, pushes);
      const api = /^\/api\/(model|dataset)s\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(path);
      const place = /^(\/datasets)?\/([^/]+\/[^/]+)\/(?:resolve|lfs)\/([^/]+)\/(.+)$/.exec(path);
      const kind = api?.[1] ?? (place?.[1] === undefined ? "model" : "dataset");
      const repo = repos.find((one) => one.id === (api?.[2] ?? place?.[2]) && (one.kind ?? "model") === kind);
      if (!repo) return refuse(response, { status: 404, code: "RepoNotFound" });
      if (repo.refused) return refuse(response, repo.refused);
      const revision = decodeURIComponent(/\/(?:revision|tree|resolve|lfs)\/([^/]+)/.exec(path)?.[1] ?? "");
      const commit = commitOf(repo);
      if (![commit, ...(repo.refs ?? ["main"])].includes(revision)) {
        return refuse(response, { status: 404, code: "RevisionNotFound" });
      }
      if (/\/revision\//.test(path)) return reply(response, infoOf(repo), fault);
      if (/\/tree\//.test(path))
        return page(response, repo, Number(searchParams.get("cursor") ?? 0), state.pageSize, path, fault);
      const name = decodeURIComponent(place?.[4] ?? "");
      const bytes = repo.files[name];
      if (bytes === undefined) return refuse(response, { status: 404, code: "EntryNotFound" });
      const large = (repo.isLfs ?? isLarge)(name);
      const own = { "x-repo-commit": commit, etag: `"${large ? sha256(bytes) : gitSha(bytes)}"` };
      if (host === "hub" && large) {
        const linked = { "x-linked-etag": own.etag, "x-linked-size": String(bytes.length) };
        const location = `${cdn}${path.replace("/resolve/", "/lfs/")}?signature=1`;
        return void response.writeHead(302, { ...own, ...linked, location, ...fault.headers }).end();
      }
      const count = (n: number) => sent.set(name, (sent.get(name) ?? 0) + n);
      await sendBytes(response, what, fault.content ?? bytes, own, fault, count);
    })().catch(() => response.destroy());
  };
  const [hubServer, cdnServer] = [createServer(answer("hub")), createServer(answer("cdn"))];
  const endpoint = await listen(hubServer, "127.0.0.1");
  const cdn = await listen(cdnServer, "localhost");
  return Object.assign(state, {
    endpoint,
    asked,
    sent,
    pushes,
    repos,
    forget() {
      asked.length = 0;
      sent.clear();
    },
    async close() {
      for (const server of [hubServer, cdnServer]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  });
}

async function listen(server: Server, host: string): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

function reply(response: ServerResponse, value: unknown, { headers = {}, content }: Fault = {}): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(content ?? JSON.stringify(value));
}

function refuse(response: ServerResponse, { status, code, message }: NonNullable<ServedRepo["refused"]>): void {
  const said = { ...(code && { "x-error-code": code }), ...(message && { "x-error-message": message }) };
  response.writeHead(status, { "content-type": "application/json", ...said }).end(JSON.stringify({ error: code }));
}

/** As the Hub answers, with what Python's library needs. */
function infoOf(repo: ServedRepo) {
  const siblings = Object.keys(repo.files).map((rfilename) => ({ rfilename }));
  const about = { id: repo.id, private: false, gated: repo.gated ?? false, disabled: false, downloads: 0, likes: 0 };
  const card = repo.license === undefined ? {} : { cardData: { license: repo.license } };
  return { ...about, ...card, sha: commitOf(repo), tags: [], siblings, createdAt: "2026-01-01T00:00:00.000Z" };
}

function page(
  response: ServerResponse,
  repo: ServedRepo,
  from: number,
  size: number,
  path: string,
  fault: Fault,
): void {
  const entries = Object.entries(repo.files).map(([name, bytes]) => {
    const own = { type: "file", path: name, size: bytes.length, oid: gitSha(bytes) };
    if (!(repo.isLfs ?? isLarge)(name)) return own;
    return {
      ...own,
      oid: gitSha(Buffer.from(name)),
      lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 },
    };
  });
  const next =
    from + size < entries.length ? { link: `<${path}?recursive=true&cursor=${from + size}>; rel="next"` } : {};
  reply(response, entries.slice(from, from + size), { ...fault, headers: { ...next, ...fault.headers } });
}

async function sendBytes(
  response: ServerResponse,
  { method, range, ifRange }: Asked,
  bytes: Uint8Array,
  own: Readonly<Record<string, string>>,
  { headers = {}, cutAfter, dripMs, ignoresRange = false }: Fault,
  count: (bytes: number) => void,
): Promise<void> {
  const said: Record<string, string> = { ...own, ...headers };
  const isChunked = headers["transfer-encoding"] === "chunked";
  const [, begin, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const from = Number(begin ?? 0);
  const past = last ? Math.min(bytes.length, Number(last) + 1) : bytes.length;
  const isPart = begin !== undefined && !ignoresRange && (ifRange === undefined || ifRange === said["etag"]);
  if (isPart && from >= bytes.length) return void response.writeHead(416).end();
  const body = isPart ? bytes.subarray(from, past) : bytes;
  if (isPart) said["content-range"] = `bytes ${from}-${past - 1}/${bytes.length}`;
  response.writeHead(isPart ? 206 : 200, {
    ...(!isChunked && { "content-length": String(body.length) }),
    "accept-ranges": "bytes",
    ...said,
    ...headers,
  });
  if (method === "HEAD") return void response.end();
  const end = Math.min(body.length, cutAfter ?? body.length);
  const step = dripMs === undefined ? end : 16_384;
  for (let at = 0; at < end; at += step) {
    const part = body.subarray(at, Math.min(end, at + step));
    await new Promise((resolve) => void response.write(part, resolve));
    if (response.destroyed) return; // who asked has left
    count(part.length);
    if (dripMs !== undefined) await wait(dripMs);
  }
  if (end === body.length) response.end();
  else setImmediate(() => response.socket?.end()); // what was written arrives, then the connection ends
}
