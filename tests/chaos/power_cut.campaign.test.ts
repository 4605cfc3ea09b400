/**
 * The power may fail after any file operation of a run: no checkpoint that the run has reported as saved is lost, and none is found
 * broken, neither the newest nor those that wait to be removed.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deserialize } from "node:v8";
import { readModelConfig, verifyDirectory } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { checkpointFolder, listCheckpoints } from "../../packages/run-files/src/checkpoint/folders.ts";
import { newestCheckpoint } from "../../packages/run-files/src/checkpoint/newest.ts";
import { readRunConfig } from "../../packages/trainer/src/run/run_folder.ts";
import { testFolder, zerogate } from "../support/cli.ts";
import { base, tinyRun } from "../support/world.ts";
import { createDisk, type FileOperation, waysToCut } from "./disk_model.ts";

const folder = testFolder();
const root = join(folder, "disk");
const model = await readModelConfig(base);
/** Ways to cut the power at one moment; the others are sampled. */
const MOST_WAYS = 16;
const STEPS = 8;
let operations: FileOperation[];

beforeAll(async () => {
  mkdirSync(root);
  const record = join(folder, "operations");
  const keep = ["--save-every", "2", "--keep-checkpoints", "2", "--eval-every", "4", "--log-level", "debug"];
  const flags = [...tinyRun(folder, { "--steps": String(STEPS) }), ...keep, "--out", "disk/run", "--workers", "1"];
  const env = {
    ZEROGATE_CHAOS: JSON.stringify({ root, record }),
    NODE_OPTIONS: `--import ${new URL("preload.mjs", import.meta.url).href}`,
  };
  expect(await zerogate(["train", ...flags], { cwd: folder, env })).toMatchObject({ code: 0 });
  operations = readRecord(record);
});

function readRecord(path: string): FileOperation[] {
  const bytes = readFileSync(path);
  const found: FileOperation[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    found.push(deserialize(bytes.subarray(at + 4, at + 4 + length)) as FileOperation);
    at += 4 + length;
  }
  return found;
}

/** Step of a checkpoint's own folder, or undefined. */
const stepOf = (path: string) => /\/checkpoints\/step-(\d+)$/.exec(path)?.[1];

test("the record holds what a run does to be durable", () => {
  const kinds = new Set(operations.map(({ kind }) => kind));
  expect([...kinds].toSorted()).toEqual(expect.arrayContaining(["create", "mkdir", "rename", "rm", "sync", "write"]));
  const published = operations.flatMap(({ kind, to = "" }) => (kind === "rename" ? (stepOf(to) ?? []) : []));
  expect(published.map(Number)).toEqual([2, 4, 6, 8]);
});

/** Steps of the checkpoints that an operation reports as saved: the lines that it writes to the log. */
function reportedBy({ kind, path, data = new Uint8Array() }: FileOperation): number[] {
  if (kind !== "write" || !path.endsWith("/run/log.jsonl")) return [];
  const lines = Buffer.from(data)
    .toString()
    .split("\n")
    .filter((line) => line !== "");
  return lines.flatMap((line) => {
    const { msg, folder: saved = "" } = JSON.parse(line) as { msg?: string; folder?: string };
    return msg === "checkpoint" ? Number(stepOf(saved)) : [];
  });
}

test("after every operation, every uncertain state resumes from what the run has reported as saved, or from a newer one [T-E1, T-E2]", async () => {
  const disk = createDisk(root);
  const seen = new Set<string>();
  const reported = [0];
  for (const [at, operation] of operations.entries()) {
    disk.apply(operation);
    reported.push(...reportedBy(operation));
    const saved = reported.at(-1) ?? 0;
    for (const { keepsName, variant } of waysToCut(disk.uncertain(), MOST_WAYS, at)) {
      const tree = relevant(disk.cut(keepsName, variant));
      const key = `${saved} ${hashOf(tree)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      await expectResumable(tree, saved, `after operation ${at} (${operation.kind} ${operation.path})`);
    }
  }
  expect(reported).toEqual([0, 2, 4, 6, 8]);
  expect(seen.size).toBeGreaterThan(200);
});

test("when the run has ended, its adapter, metrics and receipt are there, with any loss [T-E1]", async () => {
  const disk = createDisk(root);
  for (const operation of operations) disk.apply(operation);
  const adapter = readdirSync(join(root, "run", "adapter")).map((name) => `adapter/${name}`);
  expect(adapter.length).toBeGreaterThan(1);
  for (const { keepsName, variant } of waysToCut(disk.uncertain(), MOST_WAYS, 0)) {
    const tree = disk.cut(keepsName, variant);
    for (const name of [...adapter, "metrics.jsonl", "receipt.jsonl"]) {
      expect(tree.get(`/run/${name}`), name).toEqual(readFileSync(join(root, "run", name)));
    }
  }
});

/** What a resume begins with. */
function relevant(tree: Map<string, Buffer>): Map<string, Buffer> {
  const files = ["/run/config.json", "/run/metrics.jsonl", "/run/receipt.jsonl"];
  return new Map([...tree].filter(([path]) => files.includes(path) || path.startsWith("/run/checkpoints")));
}

function hashOf(tree: Map<string, Buffer>): string {
  const hash = createHash("sha256");
  for (const [path, bytes] of tree) hash.update(`${path} ${bytes.length}\n`).update(bytes);
  return hash.digest("hex");
}

/** Writes a tree where the last one was; returns the run directory in it. */
function layOut(tree: Map<string, Buffer>): string {
  const cut = join(folder, "cut");
  rmSync(cut, { recursive: true, force: true });
  for (const [path, bytes] of tree) {
    mkdirSync(path.endsWith("/") ? join(cut, path) : dirname(join(cut, path)), { recursive: true });
    if (!path.endsWith("/")) writeFileSync(join(cut, path), bytes);
  }
  const run = join(cut, "run");
  mkdirSync(run, { recursive: true }); // without it there is nothing to resume, and the command says so
  return run;
}

async function expectResumable(tree: Map<string, Buffer>, reported: number, when: string): Promise<void> {
  const run = layOut(tree);
  for (const step of await listCheckpoints(run)) {
    expect(await verifyDirectory(checkpointFolder(run, step)), when).toEqual([]);
  }
  const problems: string[] = [];
  const found = await newestCheckpoint(run, model, (problem) => problems.push(problem));
  expect(problems, when).toEqual([]);
  const step = found?.state.step ?? 0;
  expect(step, when).toBeGreaterThanOrEqual(reported);
  if (!found || step === 0) return;
  expect(await readRunConfig(run, {}), when).toMatchObject({ steps: STEPS });
  const text = (name: string) => (tree.get(`/run/${name}`) ?? Buffer.alloc(0)).toString();
  const lines = text("metrics.jsonl").split("\n");
  const steps = lines.flatMap((line) => /^\{"step":(\d+),.*\}$/.exec(line)?.[1] ?? []).map(Number);
  const expected = Array.from({ length: step }, (_, i) => i + 1);
  expect(steps.slice(0, step), when).toEqual(expected);
  expect(text("receipt.jsonl"), when).toContain(found.state.receipt);
}
