/** The power may fail after any file operation of a run: no checkpoint that was committed is lost, none is found broken. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deserialize } from "node:v8";
import { readModelConfig } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { newestCheckpoint } from "../../packages/trainer/src/checkpoint/newest.ts";
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
  const keep = ["--save-every", "2", "--keep-checkpoints", "2", "--eval-every", "4"];
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

test("after every operation, every uncertain state resumes from the newest committed checkpoint or a newer one", async () => {
  const disk = createDisk(root);
  const seen = new Set<string>();
  let renamed = 0;
  let committed = 0;
  for (const [at, operation] of operations.entries()) {
    disk.apply(operation);
    if (operation.kind === "rename") renamed = Math.max(renamed, Number(stepOf(operation.to ?? "") ?? 0));
    if (operation.kind === "sync" && operation.path.endsWith("/checkpoints")) committed = renamed;
    for (const { keepsName, variant } of waysToCut(disk.uncertain(), MOST_WAYS, at)) {
      const tree = relevant(disk.cut(keepsName, variant));
      const key = `${committed} ${hashOf(tree)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      await expectResumable(tree, committed, `after operation ${at} (${operation.kind} ${operation.path})`);
    }
  }
  expect(committed).toBe(STEPS);
  expect(seen.size).toBeGreaterThan(200);
});

/** What a resume begins with. */
function relevant(tree: Map<string, Buffer>): Map<string, Buffer> {
  const files = ["/run/config.json", "/run/metrics.jsonl"];
  return new Map([...tree].filter(([path]) => files.includes(path) || path.startsWith("/run/checkpoints")));
}

function hashOf(tree: Map<string, Buffer>): string {
  const hash = createHash("sha256");
  for (const [path, bytes] of tree) hash.update(`${path} ${bytes.length}\n`).update(bytes);
  return hash.digest("hex");
}

async function expectResumable(tree: Map<string, Buffer>, committed: number, when: string): Promise<void> {
  const cut = join(folder, "cut");
  rmSync(cut, { recursive: true, force: true });
  for (const [path, bytes] of tree) {
    mkdirSync(path.endsWith("/") ? join(cut, path) : dirname(join(cut, path)), { recursive: true });
    if (!path.endsWith("/")) writeFileSync(join(cut, path), bytes);
  }
  const run = join(cut, "run");
  mkdirSync(run, { recursive: true }); // without it there is nothing to resume, and the command says so
  const problems: string[] = [];
  const found = await newestCheckpoint(run, model, (problem) => problems.push(problem));
  expect(problems, when).toEqual([]);
  const step = found?.state.step ?? 0;
  expect(step, when).toBeGreaterThanOrEqual(committed);
  if (step === 0) return;
  expect(await readRunConfig(run, {}), when).toMatchObject({ steps: STEPS });
  const lines = (tree.get("/run/metrics.jsonl") ?? Buffer.alloc(0)).toString().split("\n");
  const steps = lines.flatMap((line) => /^\{"step":(\d+),.*\}$/.exec(line)?.[1] ?? []).map(Number);
  const expected = Array.from({ length: step }, (_, i) => i + 1);
  expect(steps.slice(0, step), when).toEqual(expected);
}
