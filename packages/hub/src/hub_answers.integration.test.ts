/** What a Hub may answer instead: refusals told apart, servers that fail, hostile ones; and who gets the token. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isZerogateError } from "@zerogate/core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Fault, type HubServer, openHubServer, type ServedRepo, sha256 } from "../test/hub_server.ts";
import { download } from "./download.ts";
import { openHub } from "./hub.ts";
import { parseRepoName, type RepoName } from "./repo_name.ts";

const bytes = Buffer.from("weights of a model".repeat(5000));
const files = { "config.json": Buffer.from("{}"), "model.safetensors": bytes };
const name = (text: string) => parseRepoName(text) as RepoName;

let server: HubServer;
const folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
const waits: number[] = [];
const blob = join(folder, "hub/models--a--b/blobs", sha256(bytes));

beforeAll(async () => {
  server = await openHubServer({ id: "a/b", files });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  server.fault = () => undefined;
  server.repos.splice(1);
  server.forget();
  waits.length = 0;
  rmSync(join(folder, "hub"), { recursive: true, force: true });
});

async function fetched(text = "a/b", env: Readonly<Record<string, string>> = {}, onNote?: (note: string) => void) {
  const hub = openHub({
    env: { HF_HOME: folder, HF_ENDPOINT: server.endpoint, ...env },
    pause: async (ms) => void waits.push(ms),
  });
  try {
    return await download(name(text), { ...(onNote && { onNote }) }, hub);
  } finally {
    await hub.close();
  }
}

/** The error, which must be one of what was given (exit code 2) or of what failed (1). */
async function problem(kind: "input" | "failure", ...args: Parameters<typeof fetched>): Promise<string> {
  const error = await fetched(...args).then(
    () => new Error("nothing went wrong"),
    (thrown: Error) => thrown,
  );
  expect(isZerogateError(error, "input"), error.message).toBe(kind === "input");
  return error.message.replaceAll(server.endpoint, "HUB").replaceAll(new URL(server.endpoint).host, "HOST");
}

const login = "set HF_TOKEN to a token of HUB/settings/tokens, or log in with hf auth login";

test.each<[ServedRepo["refused"] & object, string, string]>([
  [
    { status: 401, code: "RepoNotFound" },
    `the Hub has no such public model: check the name, and if it is private or gated, ${login}`,
    "the Hub does not take this token for it: check the name, and the token at HUB/settings/tokens",
  ],
  [
    { status: 404, code: "RepoNotFound" },
    "HOST has no model of this name: check how it is written",
    "HOST has no model of this name: check how it is written",
  ],
  [
    { status: 403, code: "GatedRepo" },
    `its owner wants your consent first: accept the terms at HUB/x/y, then ${login}`,
    "its owner wants your consent first: accept the terms at HUB/x/y as the owner of this token",
  ],
  [
    { status: 401, code: "GatedRepo" },
    `its owner wants your consent first: accept the terms at HUB/x/y, then ${login}`,
    "its owner wants your consent first: accept the terms at HUB/x/y as the owner of this token",
  ],
  [
    { status: 403, message: "Your request to access model x/y is awaiting a review" },
    `its owner wants your consent first: accept the terms at HUB/x/y, then ${login}`,
    "its owner wants your consent first: accept the terms at HUB/x/y as the owner of this token",
  ],
  [
    { status: 403, message: "no read role" },
    `this token may not do that (no read role): ${login} that may`,
    `this token may not do that (no read role): ${login} that may`,
  ],
  [
    { status: 403, message: "Access to this resource is disabled." },
    "the Hub has disabled it: HUB/x/y says why",
    "the Hub has disabled it: HUB/x/y says why",
  ],
  [
    { status: 404, code: "RevisionNotFound" },
    "it has no branch, tag or commit main: HUB/x/y/refs lists them",
    "it has no branch, tag or commit main: HUB/x/y/refs lists them",
  ],
])("%j says what to do, without a token and with one [M-hub-refusals]", async (refused, without, withToken) => {
  server.repos.push({ id: "x/y", files, refused });
  expect(await problem("input", "x/y")).toBe(`Cannot download x/y: ${without}`);
  expect(await problem("input", "x/y", { HF_TOKEN: "hf_secret" })).toBe(`Cannot download x/y: ${withToken}`);
});

test("HF_HUB_OFFLINE asks nobody [M-hub-refusals]", async () => {
  const message = "Cannot ask the Hub: HF_HUB_OFFLINE is set, which forbids it: unset it, or use what is here";
  expect(await problem("input", "a/b", { HF_HUB_OFFLINE: "1" })).toBe(message);
  expect(server.asked).toEqual([]);
});

test("the token goes to the Hub's host, never to where a redirect leads [M-hub-download]", async () => {
  await fetched("a/b", { HF_TOKEN: "hf_secret" });
  const of = (host: string) => server.asked.filter((asked) => asked.host === host);
  expect(of("hub").map(({ authorization }) => authorization)).toEqual(of("hub").map(() => "Bearer hf_secret"));
  expect(of("cdn").length).toBeGreaterThan(0);
  expect(of("cdn").map(({ authorization }) => authorization)).toEqual(of("cdn").map(() => undefined));
});

test("a server that limits or fails is asked again, after the time that it names [M-hub-download]", async () => {
  const answers = [{ status: 429, headers: { "retry-after": "7" } }, { status: 503 }, { status: 500 }, undefined];
  let asked = 0;
  server.fault = ({ host, path }) => (host === "hub" && path.endsWith(".safetensors") ? answers[asked++] : undefined);
  await fetched();
  expect(waits).toEqual([7000, 2000, 4000]);
  expect(existsSync(blob)).toBe(true);
});

test("one that goes on failing, or asks for more patience than a person has, is given up [M-hub-refusals]", async () => {
  const always = (fault: Fault) => () => fault;
  server.fault = always({ status: 503 });
  expect(await problem("failure")).toBe(
    "Cannot download a/b: the server fails (503), 5 times in a row: try again later",
  );
  expect(waits).toEqual([1000, 2000, 4000, 8000]);
  server.fault = always({ status: 429, headers: { "retry-after": "3600" } });
  const limited =
    "Cannot download a/b: the Hub limits how often it is asked (429), less with HF_TOKEN: try again in 60 minutes";
  expect(await problem("failure")).toBe(limited);
  server.fault = always({ status: 418, headers: { "x-error-message": "short and stout" } });
  expect(await problem("failure")).toBe("Cannot download a/b: the Hub answers 418 (short and stout)");
  const gone = { HF_ENDPOINT: "http://127.0.0.1:1" };
  expect(await problem("failure", "a/b", gone)).toBe(
    "Cannot download a/b: 127.0.0.1:1 refuses the connection, 5 times in a row: try again later",
  );
});

const cdn = (fault: Fault) => () => {
  server.fault = ({ host }) => (host === "cdn" ? fault : undefined);
};
const hubFile = (fault: Fault) => () => {
  server.fault = ({ host, path }) => (host === "hub" && path.endsWith("model.safetensors") ? fault : undefined);
};
const prefix = "Cannot download model.safetensors of a/b: ";

test.each<[string, () => void, string]>([
  [
    "bytes of another length",
    cdn({ content: bytes.subarray(1) }),
    `${prefix}the server has ${bytes.length - 1} bytes of it, the listing ${bytes.length}`,
  ],
  [
    "more bytes, unannounced",
    cdn({ content: Buffer.concat([bytes, bytes]), headers: { "transfer-encoding": "chunked" } }),
    prefix,
  ],
  [
    "a compressed content",
    cdn({ headers: { "content-encoding": "gzip" } }),
    `${prefix}the server sends it as gzip, which was not asked for`,
  ],
  [
    "another content than listed",
    hubFile({ headers: { "x-linked-etag": `"${"0".repeat(64)}"` } }),
    `${prefix}it changed while it was downloaded (the listing has ${sha256(bytes)}, the file ${"0".repeat(64)})`,
  ],
  [
    "a circle of redirects",
    hubFile({ status: 302, headers: { location: "/a/b/resolve/x/model.safetensors" } }),
    `${prefix}HOST sends us on more than 5 times`,
  ],
  [
    "a redirect to a file",
    hubFile({ status: 302, headers: { location: "file:///etc/passwd" } }),
    `${prefix}HOST sends us on to file://, which is not encrypted`,
  ],
  [
    "a redirect to nowhere",
    hubFile({ status: 302, headers: { location: "http://[" } }),
    `${prefix}HOST sends us on to what is no address`,
  ],
])("%s is refused and leaves no blob [M-hub-refusals]", async (_, begin, message) => {
  begin();
  const said = await problem("failure");
  expect(message === prefix ? said.startsWith(prefix) : said === message, said).toBe(true);
  expect(existsSync(blob)).toBe(false);
});

test("a content that changes midway begins anew, and only the listed one is kept [M-hub-download]", async () => {
  let times = 0;
  const other = Buffer.from(bytes).fill(1, 0, 100);
  server.fault = ({ host }) => {
    if (host !== "cdn") return undefined;
    return times++ === 0 ? { content: other, headers: { etag: '"other"' }, cutAfter: 70_000 } : undefined;
  };
  await fetched();
  const [first, second] = server.asked.filter(({ host }) => host === "cdn");
  expect([first?.range, second?.range, second?.ifRange]).toEqual([undefined, "bytes=70000-", '"other"']);
  expect(server.sent.get("model.safetensors")).toBe(70_000 + bytes.length);
});

test("a server that answers ranges wrongly cannot mix a file [M-hub-download]", async () => {
  const part = { "content-range": `bytes 5-${bytes.length - 1}/${bytes.length}` };
  const other = { content: Buffer.alloc(bytes.length), headers: part };
  for (const wrong of [{ ignoresRange: true }, other, { status: 416 }]) {
    let times = 0;
    server.fault = ({ host }) => (host === "cdn" ? [{ cutAfter: 66_000 }, wrong][times++] : undefined);
    const notes: string[] = [];
    await fetched("a/b", {}, (note) => notes.push(note));
    expect([existsSync(blob), notes]).toEqual([true, []]); // begun anew at once, not found out by the hash
    rmSync(join(folder, "hub"), { recursive: true });
  }
});

const listed = (entries: unknown) => () => {
  server.fault = ({ path }) =>
    path.includes("/tree/") ? { content: Buffer.from(JSON.stringify(entries)) } : undefined;
};
const entry = (path: string) => ({ type: "file", path, size: 3, oid: "a".repeat(40) });

test.each<[string, () => void, string]>([
  ["../", listed([entry("../../up.json")]), 'it lists "../../up.json", which leads elsewhere by ..'],
  ["absolute names", listed([entry("/etc/x.json")]), 'it lists "/etc/x.json", which is absolute'],
  [
    "Windows separators",
    listed([entry("..\\up.json")]),
    'it lists "..\\\\up.json", which has a character that not every system can have in a name',
  ],
  ["drives", listed([entry("c:\\x.json")]), 'it lists "c:\\\\x.json", which is absolute'],
  [
    "devices",
    listed([entry("nul.json"), entry("model.safetensors")]),
    'the name "nul.json" has a part that is a device on Windows: leave it out with --exclude',
  ],
  ["a name twice", listed([entry("x.json"), entry("x.json")]), 'it lists "x.json", which is listed twice'],
  [
    "a hash that is a path",
    listed([{ ...entry("x.json"), oid: "../../../x" }]),
    'the Hub lists "x.json" without size or hash: is it a Hub',
  ],
  [
    "a size below zero",
    listed([{ ...entry("x.json"), size: -1 }]),
    "the answer of HUB has no usable 0.size: is it a Hub",
  ],
  ["no listing", listed({ error: 1 }), "the answer of HUB has no usable content: is it a Hub"],
])("a listing with %s is refused before anything is written [M-hub-refusals]", async (_, begin, message) => {
  server.fault = () => undefined;
  begin();
  expect(await problem("input")).toBe(`Cannot download a/b: ${message}`);
  expect(existsSync(blob)).toBe(false);
});

test("answers that are no JSON, without end, or go round in a circle end with a message [M-hub-refusals]", async () => {
  const info = (fault: Fault) => {
    server.fault = ({ path }) => (path.includes("/revision/") ? fault : undefined);
  };
  info({ content: Buffer.from("<html>") });
  expect(await problem("failure")).toBe(
    "Cannot download a/b: HUB answers with what is no JSON: is it a Hub (HF_ENDPOINT)",
  );
  info({ content: Buffer.alloc(33 * 2 ** 20, " ") });
  expect(await problem("failure")).toBe(
    "Cannot download a/b: HOST answers with more than 33554432 bytes, which are not read",
  );
  server.fault = ({ path }) =>
    path.includes("/tree/")
      ? { content: Buffer.from("[]"), headers: { link: `<${path}?cursor=1>; rel="next"` } }
      : undefined;
  expect(await problem("input")).toBe("Cannot download a/b: the Hub's listing goes round in a circle: is it a Hub");
  server.fault = ({ path }) =>
    path.includes("/tree/")
      ? { content: Buffer.from("[]"), headers: { link: '<http://evil.example/x>; rel="next"' } }
      : undefined;
  expect(await problem("failure")).toBe(
    "Cannot download a/b: the listing goes on at evil.example, which is not the Hub",
  );
});

test("a disk without room is said before the first byte comes [M-hub-refusals]", async () => {
  const large = { ...entry("model.safetensors"), size: 2 ** 49 };
  listed([large])();
  const message = await problem("input");
  expect(message).toMatch(
    /^Cannot download a\/b: 563 TB are to come, .* are free on the disk of .*: make room, or name a folder on another disk with HF_HUB_CACHE$/,
  );
});
