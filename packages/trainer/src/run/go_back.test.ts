import { mkdirSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { readModelConfig } from "@zerogate/core/node";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { checkpointsIn, copyOf, openPlace, sixSteps } from "../../../zerogate/test/here.ts";
import { goBack, moveLater, newRewoundFolder, skipRange } from "./go_back.ts";

const place = openPlace();
const model = await readModelConfig(place.base);
let run: string;
let count = 0;
let warnings: string[];
const back = (step: number) => goBack(run, model, step, (sentence) => warnings.push(sentence));
const rewound = (n: number) => readdirSync(join(run, "rewound", String(n))).toSorted();

beforeAll(async () => {
  const flags = sixSteps(place, "whole", { "--save-every": "1", "--keep-checkpoints": "9" });
  expect(await place.run(flags)).toMatchObject({ code: 0 });
});
beforeEach(() => {
  run = copyOf(place, "whole", `copy-${count++}`);
  warnings = [];
});

test("a run goes back to a checkpoint, and later ones are moved aside before it is handed out", async () => {
  const checkpoint = await back(4);
  expect(checkpoint?.state.step).toBe(4);
  expect(checkpointsIn(run)).toEqual(["step-1", "step-2", "step-3", "step-4"]);
  expect(rewound(1)).toEqual(["step-5", "step-6"]);
  expect((await back(4))?.state.step).toBe(4);
  expect(readdirSync(join(run, "rewound"))).toEqual(["1"]);
  expect((await back(2))?.state.step).toBe(2);
  expect(rewound(2)).toEqual(["step-3", "step-4"]);
  expect(warnings).toEqual([]);
});

test("if that checkpoint is broken the run goes back further, with a word", async () => {
  truncateSync(join(run, "checkpoints", "step-4", "state.msgpack"), 3);
  expect((await back(4))?.state.step).toBe(3);
  expect(warnings).toEqual([
    expect.stringMatching(
      /^Cannot use the checkpoint .*step-4: .*state\.msgpack has 3 bytes.* It is kept as .*step-4\.corrupt$/,
    ),
  ]);
});

test("a run without any goes back to its first step, with a word", async () => {
  expect(await back(0)).toBeUndefined();
  expect(warnings).toEqual([expect.stringContaining("there is no checkpoint of 0 steps or less")]);
  expect(checkpointsIn(run)).toEqual([]);
  expect(rewound(1)).toEqual(["step-1", "step-2", "step-3", "step-4", "step-5", "step-6"]);
});

test("what was moved is there when the call returns, the newest first", async () => {
  const folder = await newRewoundFolder(run);
  expect(folder).toBe(join(run, "rewound", "1"));
  expect(await moveLater(run, 3, folder)).toEqual([6, 5, 4]);
  expect(rewound(1)).toEqual(["step-4", "step-5", "step-6"]);
  for (const name of ["7", "notes"]) mkdirSync(join(run, "rewound", name));
  expect(await newRewoundFolder(run)).toBe(join(run, "rewound", "8"));
});

test("a rollback skips all steps from where it goes back to, each with its reason", () => {
  expect(skipRange([], { to: 2, bad: 4, reason: "NaN" })).toEqual([
    { step: 2, reason: "rolled back because of step 5" },
    { step: 3, reason: "rolled back because of step 5" },
    { step: 4, reason: "NaN" },
  ]);
  const first = { step: 2, reason: "first" };
  expect(skipRange([first], { to: 2, bad: 2, reason: "NaN" })).toEqual([first]); // once
  const known = [
    { step: 1, reason: "early" },
    { step: 3, reason: "first" },
    { step: 9, reason: "never reached" },
  ];
  expect(skipRange(known, { to: 2, bad: 4, reason: "NaN" })).toEqual([
    { step: 1, reason: "early" },
    { step: 2, reason: "rolled back because of step 5" },
    { step: 3, reason: "first" },
    { step: 4, reason: "NaN" },
  ]);
});
