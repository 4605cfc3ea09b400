import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { slowDisk } from "../../../run-files/test/slow_disk.ts";
import { checkpointsIn, copyOf, openPlace, sixSteps } from "../../../zerogate/test/here.ts";
import { rewindRun } from "./rewind.ts";

const place = openPlace();
let run: string;
let count = 0;
beforeAll(async () => {
  const flags = sixSteps(place, "whole", { "--keep-checkpoints": "9" });
  expect(await place.run(flags)).toMatchObject({ code: 0 });
});
beforeEach(() => {
  run = copyOf(place, "whole", `copy-${count++}`);
});
const asideOf = (n = 1) => readdirSync(join(run, "rewound", String(n))).toSorted();

test("what came after a step is moved aside, newest first, with copies of the files that a resume cuts back", async () => {
  const rewound = await rewindRun(run, 2);
  expect(rewound).toEqual({ folder: join(run, "rewound", "1"), moved: [6, 4, 3] });
  expect(asideOf()).toEqual(["adapter", "metrics.jsonl", "receipt.jsonl", "report.html", "step-3", "step-4", "step-6"]);
  expect(checkpointsIn(run)).toEqual(["step-2"]);
  for (const name of ["adapter", "report.html"]) expect(existsSync(join(run, name))).toBe(false);
  for (const name of ["metrics.jsonl", "receipt.jsonl"]) {
    const whole = readFileSync(join(place.at("whole"), name), "utf8");
    expect(readFileSync(join(run, "rewound", "1", name), "utf8")).toBe(whole);
    expect(readFileSync(join(run, name), "utf8")).toBe(whole);
  }
});

test("the newest step of a run without results is where it is already; with results these are moved aside", async () => {
  expect(await rewindRun(run, 6)).toEqual({ folder: join(run, "rewound", "1"), moved: [] });
  expect(asideOf()).toEqual(["adapter", "metrics.jsonl", "receipt.jsonl", "report.html"]);
  expect(await rewindRun(run, 6)).toEqual({ moved: [] });
  expect(readdirSync(join(run, "rewound"))).toEqual(["1"]);
});

test("a run that lost its metrics can go back as well", async () => {
  for (const name of ["metrics.jsonl", "report.html"]) rmSync(join(run, name));
  await rewindRun(run, 4);
  expect(asideOf()).toEqual(["adapter", "receipt.jsonl", "step-6"]);
});

test("a step without a checkpoint is refused with those that there are, oldest first, and nothing is moved", async () => {
  await expect(rewindRun(run, 5)).rejects.toThrow(
    `Cannot rewind ${run} to step 5: there is no checkpoint of it: there are those of steps 2, 3, 4, 6`,
  );
  rmSync(join(run, "checkpoints"), { recursive: true });
  mkdirSync(join(run, "checkpoints"));
  await expect(rewindRun(run, 5)).rejects.toThrow("there is no checkpoint of it: there is none");
  expect(existsSync(join(run, "rewound"))).toBe(false);
});

test("a broken checkpoint is refused with what is wrong with it, and nothing is moved", async () => {
  truncateSync(join(run, "checkpoints", "step-2", "state.msgpack"), 3);
  await expect(rewindRun(run, 2)).rejects.toThrow(/^Cannot rewind \S+ to step 2: state.msgpack has 3 bytes/);
  expect(existsSync(join(run, "rewound"))).toBe(false);
  expect(checkpointsIn(run)).toContain("step-6");
});

test("copies of metrics and receipt are on the disk before anything is moved, and each move is done before the next", async () => {
  const { done, restore } = slowDisk();
  try {
    await rewindRun(run, 2);
  } finally {
    restore();
  }
  const aside = join(run, "rewound", "1");
  const named = done
    .filter((what) => !what.startsWith(`sync ${join(run, "checkpoints")}`) && what !== `sync ${run}`)
    .map((what) => what.replaceAll(aside, "ASIDE").replaceAll(run, "RUN"));
  expect(named.slice(named.indexOf("copy RUN/metrics.jsonl ASIDE/metrics.jsonl"))).toEqual([
    "copy RUN/metrics.jsonl ASIDE/metrics.jsonl",
    "sync ASIDE/metrics.jsonl",
    "copy RUN/receipt.jsonl ASIDE/receipt.jsonl",
    "sync ASIDE/receipt.jsonl",
    "sync ASIDE",
    ...["adapter", "report.html"].flatMap((name) => [`rename RUN/${name} ASIDE/${name}`, "sync ASIDE"]),
    ...[6, 4, 3].flatMap((step) => [`rename RUN/checkpoints/step-${step} ASIDE/step-${step}`, "sync ASIDE"]),
  ]);
});
