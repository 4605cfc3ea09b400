/** Downloads from a Hub of this machine: resumed at any byte, compared with their hashes, placed whole. */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uniform } from "@zerogate/core/training";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { commitOf, gitSha, type HubServer, openHubServer, type ServedRepo, sha256 } from "../test/hub_server.ts";
import { cachedPlace } from "./cache_folders.ts";
import { type DownloadOptions, download } from "./download.ts";
import { openHub } from "./hub.ts";
import { parseRepoName, type RepoName } from "./repo_name.ts";

const MIB = 2 ** 20;

/** Numbers by chance, the same each time. */
function randomBytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.floor(256 * uniform(seed, 0, i)));
}

const text = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

const model: ServedRepo = {
  id: "tiny/llama",
  license: "apache-2.0",
  refs: ["main", "refs/pr/1"],
  files: {
    ".gitattributes": Buffer.from("*.safetensors filter=lfs"),
    "README.md": Buffer.from("# Tiny"),
    "config.json": text({ model_type: "llama" }),
    "tokenizer.json": text({ model: {} }),
    "model-00001-of-00002.safetensors": randomBytes(3 * MIB + 17, 1),
    "model-00002-of-00002.safetensors": randomBytes(MIB, 2),
    "model.safetensors.index.json": text({ weight_map: {} }),
    "pytorch_model.bin": randomBytes(100, 3),
    "same.json": text({ model_type: "llama" }),
  },
};
const shard = "model-00001-of-00002.safetensors";
const shardBytes = model.files[shard] as Uint8Array;
const name = parseRepoName("tiny/llama") as RepoName;

let server: HubServer;
let folder = "";
const env = (more: Readonly<Record<string, string>> = {}) => ({
  HF_HOME: folder,
  HF_ENDPOINT: server.endpoint,
  ...more,
});
const repo = () => join(folder, "hub", "models--tiny--llama");
/** Waits that were asked for; none is kept. */
const waits: number[] = [];
const pause = async (ms: number) => void waits.push(ms);

beforeAll(async () => {
  server = await openHubServer(model);
});
afterAll(async () => await server.close());
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  server.fault = () => undefined;
  server.pageSize = 1000;
  server.repos.splice(1);
  server.forget();
  waits.length = 0;
});

/** Downloads into a new cache, or into that of the test before. */
async function fetchModel(
  options: DownloadOptions & { readonly isSameCache?: boolean; readonly env?: Readonly<Record<string, string>> } = {},
  what: RepoName = name,
) {
  if (!options.isSameCache) folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
  const hub = openHub({ env: env(options.env), pause });
  try {
    return await download(what, options, hub);
  } finally {
    await hub.close();
  }
}

const blobs = () => readdirSync(join(repo(), "blobs"));
const snapshotIs = (paths: readonly string[]) => {
  for (const path of paths) {
    expect(
      Buffer.compare(readFileSync(join(repo(), "snapshots", commitOf(model), path)), model.files[path] as Uint8Array),
      path,
    ).toBe(0);
  }
};
const needed = [
  "config.json",
  "tokenizer.json",
  shard,
  "model-00002-of-00002.safetensors",
  "model.safetensors.index.json",
  "same.json",
];

test("what is needed comes into the cache as Python lays it out: blobs by hash, relative links, a ref [M-hub-download, M-hub-cache]", async () => {
  const seen: number[] = [];
  const { path, commit, files, leftOut, license } = await fetchModel({
    onProgress: (done, total) => seen.push(done / total),
  });
  expect([commit, license, path]).toEqual([commitOf(model), "apache-2.0", join(repo(), "snapshots", commit)]);
  expect(files.map((file) => file.path).toSorted()).toEqual(needed.toSorted());
  expect(leftOut.map((file) => file.path)).toEqual([".gitattributes", "README.md", "pytorch_model.bin"]);
  snapshotIs(needed);
  expect(blobs().toSorted()).toEqual(
    [
      ...new Set(
        needed.map((file) => {
          const bytes = model.files[file] as Uint8Array;
          return file.endsWith(".safetensors") ? sha256(bytes) : gitSha(bytes);
        }),
      ),
    ].toSorted(),
  );
  expect(readlinkSync(join(path, shard))).toBe(`../../blobs/${sha256(shardBytes)}`);
  expect(readFileSync(join(repo(), "refs", "main"), "utf8")).toBe(commit);
  expect(seen.at(-1)).toBe(1);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(cachedPlace(name, env())).toEqual({ path, commit });
  server.forget();
  expect((await fetchModel({ isSameCache: true })).fetched).toEqual([]);
  expect(server.asked.filter(({ path: asked }) => !asked.startsWith("/api/"))).toEqual([]);
});

test("a revision with slashes, a commit, a folder of pages: all lead to the one snapshot [M-hub-cache]", async () => {
  server.pageSize = 2;
  const pr = parseRepoName("tiny/llama@refs/pr/1") as RepoName;
  const { path, commit } = await fetchModel({}, pr);
  expect(readFileSync(join(repo(), "refs", "refs", "pr", "1"), "utf8")).toBe(commit);
  expect(cachedPlace(pr, env())?.path).toBe(path);
  const pinned = parseRepoName(`tiny/llama@${commit}`) as RepoName;
  expect(cachedPlace(pinned, env())?.path).toBe(path);
  expect(cachedPlace(name, env())).toBe(undefined);
  await fetchModel({ isSameCache: true }, pinned);
  expect(readdirSync(join(repo(), "refs"))).toEqual(["refs"]);
});

test("interrupted at ten bytes by chance, a download goes on without a repeated MiB [M-hub-download]", async () => {
  const cuts = Array.from({ length: 10 }, (_, i) => Math.floor(uniform(9, 1, i) * shardBytes.length)).toSorted(
    (a, b) => a - b,
  );
  folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
  for (const cut of cuts) {
    const stop = new AbortController();
    let here = 0;
    const onProgress = (done: number) => {
      if (done > here) here = done;
      if (existsSync(join(repo(), "blobs")) && partialBytes() >= cut) stop.abort();
    };
    server.fault = ({ host, path }) => (host === "cdn" && path.endsWith(shard) ? { dripMs: 1 } : undefined);
    await expect(fetchModel({ isSameCache: true, signal: stop.signal, onProgress })).rejects.toThrow(/abort/i);
    expect(existsSync(join(repo(), "snapshots"))).toBe(false);
    expect(cachedPlace(name, env())).toBe(undefined);
  }
  server.fault = () => undefined;
  await fetchModel({ isSameCache: true });
  snapshotIs(needed);
  // What was on its way when a download was stopped comes once more: 16 kB of some 3 MiB, ten times.
  expect((server.sent.get(shard) ?? 0) - shardBytes.length).toBeLessThan(MIB / 2);
  expect(server.asked.filter(({ path, range }) => path.endsWith(shard) && range !== undefined).length).toBeGreaterThan(
    5,
  );
  expect(blobs().filter((file) => file.endsWith(".incomplete"))).toEqual([]);
});

function partialBytes(): number {
  const partial = blobs().find((file) => file.startsWith(sha256(shardBytes)));
  return partial === undefined ? 0 : lstatSync(join(repo(), "blobs", partial)).size;
}

test("a connection that ends is made again where it ended, by the tag of what came [M-hub-download]", async () => {
  let cuts = 0;
  server.fault = ({ host, path }) =>
    host === "cdn" && path.endsWith(shard) && cuts++ < 20 ? { cutAfter: 150_000 } : undefined;
  await fetchModel();
  snapshotIs(needed);
  expect(server.sent.get(shard)).toBe(shardBytes.length);
  const ranges = server.asked.filter(({ host, path }) => host === "cdn" && path.endsWith(shard));
  expect(ranges.slice(0, 3).map(({ range }) => range)).toEqual([undefined, "bytes=150000-", "bytes=300000-"]);
  expect(ranges[1]?.ifRange).toBe(`"${sha256(shardBytes)}"`);
  expect(waits).toEqual([]);
});

test("a file cut at each of its bytes comes whole [M-hub-download]", async () => {
  const bytes = randomBytes(40, 8);
  server.repos.push({ id: "tiny/cut", files: { "model.safetensors": bytes } });
  for (let cut = 0; cut < bytes.length; cut++) {
    let times = 0;
    server.fault = ({ host }) => (host === "cdn" && times++ === 0 ? { cutAfter: cut } : undefined);
    const { path } = await fetchModel({ isSameCache: false }, parseRepoName("tiny/cut"));
    expect(Buffer.compare(readFileSync(join(path, "model.safetensors")), bytes)).toBe(0);
    expect(server.sent.get("model.safetensors")).toBe(bytes.length);
    server.forget();
    rmSync(folder, { recursive: true });
  }
});

test("of 1,000 corrupted downloads none is accepted, and none reaches the cache [M-hub-download, M-hub-refusals]", async () => {
  const bytes = randomBytes(200, 5);
  server.repos.push({ id: "tiny/bad", files: { "model.safetensors": bytes, "config.json": bytes.slice(0, 90) } });
  const bad = parseRepoName("tiny/bad") as RepoName;
  folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
  let answers = 0;
  for (let i = 0; i < 500; i++) {
    server.fault = ({ path }) => {
      const whole = path.endsWith("model.safetensors") ? bytes : bytes.slice(0, 90);
      if (path.startsWith("/api/")) return undefined;
      answers++;
      return { content: corrupted(whole, i) };
    };
    await expect(fetchModel({ isSameCache: true }, bad)).rejects.toThrow(/^Cannot download /);
    const left = readdirSync(join(folder, "hub/models--tiny--bad/blobs")).filter(
      (file) => !file.endsWith(".incomplete"),
    );
    expect(left).toEqual([]);
    expect(existsSync(join(folder, "hub/models--tiny--bad/refs"))).toBe(false);
  }
  expect(answers).toBeGreaterThan(1000);
  server.fault = () => undefined;
  const { path } = await fetchModel({ isSameCache: true }, bad);
  expect(Buffer.compare(readFileSync(join(path, "model.safetensors")), bytes)).toBe(0);
});

/** A bit turned, a byte more or less, other bytes, none: each in turn. */
function corrupted(bytes: Uint8Array, i: number): Uint8Array {
  const at = Math.floor(uniform(4, 2, i) * bytes.length);
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << (i % 8));
  return (
    [copy, Buffer.concat([bytes, Buffer.from([i % 256])]), bytes.slice(0, at), randomBytes(bytes.length, i + 100)][
      i % 4
    ] ?? copy
  );
}

test("bytes of an earlier attempt that are wrong cost one more download, said in a note [M-hub-download]", async () => {
  const notes: string[] = [];
  folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
  server.fault = ({ host, path }) => (host === "cdn" && path.endsWith(shard) ? { cutAfter: 1000 } : undefined);
  await expect(fetchModel({ isSameCache: true })).rejects.toThrow(
    "ended the connection, 5 times in a row: try again later",
  );
  const partial = join(repo(), "blobs", blobs().find((file) => file.startsWith(sha256(shardBytes))) ?? "");
  writeFileSync(partial, randomBytes(70_000, 6));
  server.fault = () => undefined;
  await fetchModel({ isSameCache: true, onNote: (note) => notes.push(note) });
  snapshotIs(needed);
  expect(notes).toEqual([
    `${shard} came without the hash ${sha256(shardBytes)} that it has on the Hub: it is fetched once more, from its first byte`,
  ]);
});

test("where links are impossible files move, and those of two names are copied, as in Python [M-hub-cache]", async () => {
  const { path } = await fetchModel({ env: { HF_HUB_DISABLE_SYMLINKS: "1" } });
  snapshotIs(needed);
  for (const file of needed) expect(lstatSync(join(path, file)).isFile(), file).toBe(true);
  expect(blobs()).toEqual([]);
  server.forget();
  expect((await fetchModel({ isSameCache: true, env: { HF_HUB_DISABLE_SYMLINKS: "1" } })).fetched).toEqual([]);
});

test("two downloads at once fetch each byte once: the second waits for the first [M-hub-cache]", async () => {
  server.fault = ({ host }) => (host === "cdn" ? { dripMs: 1 } : undefined);
  folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
  const notes: string[] = [];
  const both = [0, 1].map(() => fetchModel({ isSameCache: true, onNote: (note) => notes.push(note) }));
  await Promise.all(both);
  snapshotIs(needed);
  expect(server.sent.get(shard)).toBe(shardBytes.length);
  expect(notes.join("\n")).toContain(`${shard} is being downloaded by process ${process.pid} of`);
});

test("a lock whose process is dead is taken over at once [M-hub-cache]", async () => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
  const { hostname } = await import("node:os");
  const { mkdirSync } = await import("node:fs");
  const locks = join(folder, "hub", ".locks", "models--tiny--llama");
  mkdirSync(locks, { recursive: true });
  writeFileSync(join(locks, `${sha256(shardBytes)}.zerogate`), JSON.stringify({ pid: 2 ** 22 + 5, host: hostname() }));
  await fetchModel({ isSameCache: true });
  snapshotIs(needed);
  expect(readdirSync(locks)).toEqual([]);
});
