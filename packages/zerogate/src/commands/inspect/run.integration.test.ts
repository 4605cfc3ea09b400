/** What `inspect` says of a run in each of its states; the run is only read. */
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lockRun, ownRecord } from "@zerogate/run-files";
import { beforeAll, describe, expect, test } from "vitest";
import { copyOf, linesOf, openPlace, sixSteps } from "../../../test/here.ts";
import type { RunFacts } from "./run.ts";

const place = openPlace();
const { at, run } = place;
const oldRuns = fileURLToPath(new URL("../../../../../tests/old_runs/0.1.0/", import.meta.url));

async function facts(path: string, env: Readonly<Record<string, string>> = {}): Promise<RunFacts> {
  const { code, stderr, json } = await run(["inspect", path, "--json"], { env });
  expect([code, stderr]).toEqual([0, ""]);
  expect(json).toHaveLength(1);
  return json[0] as unknown as RunFacts;
}

async function rows(path: string): Promise<Record<string, string>> {
  const { code, stdout, stderr } = await run(["inspect", path]);
  expect([code, stderr]).toEqual([0, ""]);
  return Object.fromEntries(stdout.split("\n").map((row) => [row.slice(0, 24).trim(), row.slice(24)]));
}

/** Name, size, time and hash of everything below; a heartbeat that goes on is left out. */
function traceOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".beat"))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
    })
    .toSorted();
}

beforeAll(async () => {
  expect((await run(sixSteps(place, "whole"))).code).toBe(0);
  const stopped = await run(sixSteps(place, "stopped"), {
    onLine: ({ step }, stop) => void (step === 3 && stop()),
  });
  expect(stopped.code).toBe(130);
});

test("a finished run: progress, losses with their steps, adapter, base, data, time and the next line [T-D9]", async () => {
  const found = await facts(at("whole"));
  const lines = linesOf(at("whole"), "metrics.jsonl");
  const validations = lines.filter(({ event }) => event === "eval") as unknown as { step: number; loss: number }[];
  const best = validations.filter(({ step }) => step > 0).toSorted((a, b) => a.loss - b.loss)[0];
  expect(found).toMatchObject({
    kind: "run",
    path: at("whole"),
    state: "finished",
    steps: 6,
    savedSteps: 6,
    totalSteps: 6,
    epoch: 1,
    totalEpochs: 1,
    loss: lines.findLast(({ event }) => event === undefined)?.["loss"],
    baseValidation: { step: 0, loss: validations[0]?.loss },
    bestValidation: { step: best?.step, loss: best?.loss },
    lastValidation: { step: 6, loss: validations.at(-1)?.loss },
    adapter: { folder: join(at("whole"), "adapter"), from: "best", step: best?.step },
    base: { path: place.base, isThere: true },
    dataFiles: [at("data.json"), at("held.json")],
    data: [
      { name: "data", records: 24, kept: 24 },
      { name: "validation data", records: 4, kept: 4 },
    ],
    engine: "reference",
    checkpoints: [6, 4, 3],
    problems: [],
    next: `zerogate chat --adapter ${at("whole")}`,
  });
  expect(found.stepsMs).toBeCloseTo(
    lines.reduce((sum, { stepMs = 0 }) => sum + Number(stepMs), 0),
    6,
  );
  const shown = await rows(at("whole"));
  expect(shown["state"]).toBe("finished: all its steps are done");
  expect(shown["progress"]).toBe("step 6 of 6 (100%), epoch 1 of 1, saved up to step 6");
  expect(shown["validation"]).toMatch(/^base \d\.\d{4}, best \d\.\d{4} at step \d, last \d\.\d{4} at step 6 /);
  expect(shown["adapter"]).toContain(`step ${best?.step} of 6`);
  expect(shown["next"]).toBe(`zerogate chat --adapter ${at("whole")}`);
});

test("the base is never the best step of a run [T-D9]", async () => {
  const folder = copyOf(place, "whole", "good base");
  const lines = linesOf(folder, "metrics.jsonl").map((line) =>
    line["event"] && line["step"] === 0 ? { ...line, loss: 0 } : line,
  );
  writeFileSync(join(folder, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const { baseValidation, bestValidation } = await facts(folder);
  expect([baseValidation, bestValidation?.step]).toEqual([{ step: 0, loss: 0 }, expect.toSatisfy((step) => step > 0)]);
});

test("the last step is named if it was delivered [T-D9]", async () => {
  expect((await run(sixSteps(place, "last", { "--adapter-from": "last" }))).code).toBe(0);
  expect((await facts(at("last"))).adapter).toMatchObject({ from: "last", step: 6, origin: "step 6 of 6, the last" });
});

test("a stopped run says where it stands and how it goes on; the line works, also as npx types it [T-D9, T-D4]", async () => {
  const folder = copyOf(place, "stopped", "go on");
  const before = traceOf(folder);
  const found = await facts(folder);
  expect(found).toMatchObject({ state: "stopped", why: "it ended before its last step, 6", steps: 3, savedSteps: 3 });
  expect(found.adapter).toBeUndefined();
  expect(found.next).toBe(`zerogate resume '${folder}'`);
  expect((await facts(folder, { npm_command: "exec" })).next).toBe(`npx zerogate resume '${folder}'`);
  expect((await rows(folder))["progress"]).toBe("step 3 of 6 (50%), epoch 0.5 of 1, saved up to step 3");
  expect(traceOf(folder)).toEqual(before);
  const words = /^zerogate (\w+) '(.*)'$/.exec(found.next) ?? [];
  expect((await run([words[1] ?? "", words[2] ?? "", "--cache-dir", at("cache")])).code).toBe(0);
  expect(await facts(folder)).toMatchObject({ state: "finished", steps: 6 });
});

test("a run that is going on is read and left alone [T-D9]", async () => {
  const folder = copyOf(place, "stopped", "live");
  const lock = await lockRun(folder, () => {});
  try {
    const before = traceOf(folder);
    const found = await facts(folder);
    expect(found).toMatchObject({ state: "running", writer: { pid: process.pid }, next: `zerogate inspect ${folder}` });
    expect(found.remainingMs).toBeGreaterThan(0);
    expect((await rows(folder))["state"]).toContain(`process ${process.pid} on `);
    expect(traceOf(folder)).toEqual(before);
  } finally {
    await lock.release();
  }
});

test("a run can be inspected from its first line to its last [T-D9]", async () => {
  const looks: Promise<{ code: number; stderr: string }>[] = [];
  const onLine = () => void looks.push(run(["inspect", at("looked at")]));
  expect((await run(sixSteps(place, "looked at"), { onLine })).code).toBe(0);
  expect(looks.length).toBeGreaterThan(5);
  for (const { code, stderr } of await Promise.all(looks)) expect([code, stderr]).toEqual([0, ""]);
  expect(await facts(at("looked at"))).toMatchObject({ state: "finished", problems: [] });
});

test("a process that ended without a word is named [T-D9]", async () => {
  const folder = copyOf(place, "stopped", "killed");
  const record = { ...(await ownRecord()), startTime: "1", pid: 2 ** 22 + 1 };
  writeFileSync(join(folder, "lock-9"), `${JSON.stringify(record)}\n`);
  const { state, why } = await facts(folder);
  expect([state, why]).toEqual([
    "stopped",
    expect.stringContaining(`process ${record.pid} on ${record.host} ended without a word`),
  ]);
});

test("a run that failed says why, which stands in its log and is printed once [T-D9]", async () => {
  const failed = await run(
    sixSteps(place, "failed", { "--lr": "1e38", "--warmup-steps": "0", "--schedule": "constant" }),
  );
  expect(failed.code).toBe(1);
  const [last] = linesOf(at("failed"), "log.jsonl").slice(-1);
  expect(last).toMatchObject({ level: 60, msg: expect.stringContaining("Cannot go on") });
  expect(failed.stderr.split("Cannot go on")).toHaveLength(2);
  const found = await facts(at("failed"));
  expect(found).toMatchObject({ state: "failed", why: last?.["msg"], next: `zerogate resume ${at("failed")}` });
  expect((await rows(at("failed")))["state"]).toMatch(/^failed: Cannot go on/);
});

test("a base that has moved is asked for, and another version's run asks for consent [T-D9]", async () => {
  const folder = copyOf(place, "whole", "orphan");
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as object;
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, model: at("gone") }));
  expect(await facts(folder)).toMatchObject({
    base: { isThere: false },
    next: `zerogate chat --adapter ${folder} --model BASE`,
  });
});

describe("runs of 0.1.0", () => {
  const names = readdirSync(oldRuns, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? entry.name : [],
  );

  test.each(names)("%s is described, and what to type is its consent [T-D9]", async (name) => {
    const folder = at(`old ${name}`);
    cpSync(join(oldRuns, name), folder, { recursive: true });
    const found = await facts(folder);
    expect(found).toMatchObject({ kind: "run", problems: [], versions: { zerogate: "0.1.0" } });
    expect(found.steps).toBeGreaterThan(0);
    const ends = found.state === "finished" ? "--model BASE" : "--model BASE --accept-change zerogate";
    expect(found.next).toMatch(new RegExp(`${ends}$`));
  });
});

describe("a damaged run is described", () => {
  const damaged = (name: string, harm: (folder: string) => void) => {
    const folder = copyOf(place, "whole", name);
    harm(folder);
    return folder;
  };
  const cut = (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2));

  test("a half-written config, metrics and checkpoint [T-D9]", async () => {
    const noConfig = await facts(damaged("half config", (folder) => cut(join(folder, "config.json"))));
    expect(noConfig.problems).toEqual([expect.stringContaining("config.json")]);
    expect(noConfig.steps).toBe(6);
    const half = await facts(damaged("half metrics", (folder) => cut(join(folder, "metrics.jsonl"))));
    expect(half).toMatchObject({ unreadableMetrics: 1, savedSteps: 6, steps: 6 });
    const broken = damaged("half state", (folder) => cut(join(folder, "checkpoints/step-6/state.msgpack")));
    expect(await facts(broken)).toMatchObject({
      state: "stopped",
      savedSteps: 4,
      problems: [expect.stringMatching(/^step-6 is damaged: state\.msgpack has \d+ bytes/)],
      next: `zerogate resume '${broken}'`,
    });
  });

  test("what is missing of its end is named [T-D9]", async () => {
    const noReport = await facts(damaged("no report", (folder) => rmSync(join(folder, "report.html"))));
    expect(noReport).toMatchObject({ state: "stopped", why: "all steps are done, its report is left to write" });
    const noAdapter = await facts(
      damaged("no adapter", (folder) => rmSync(join(folder, "adapter"), { recursive: true })),
    );
    expect(noAdapter).toMatchObject({ state: "stopped", why: "all steps are done, its adapter is left to write" });
  });

  test("links that lead out, and folders in the place of files [T-D9]", async () => {
    const linked = damaged("linked", (folder) => {
      rmSync(join(folder, "metrics.jsonl"));
      symlinkSync(at("data.json"), join(folder, "metrics.jsonl"));
    });
    expect((await facts(linked)).problems).toEqual([expect.stringContaining("metrics.jsonl is a link that leads out")]);
    const folders = damaged("folders", (folder) => {
      for (const name of ["metrics.jsonl", "log.jsonl"]) {
        rmSync(join(folder, name));
        mkdirSync(join(folder, name));
      }
    });
    expect((await facts(folders)).problems).toHaveLength(2);
  });
});
