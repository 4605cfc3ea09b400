import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { configKeys, fields } from "./fields.ts";
import type { Field } from "./kinds.ts";
import { added } from "./kinds.ts";
import { resolveConfig } from "./resolve.ts";
import { completeConfig, defaultOf } from "./stored_config.ts";

const needed = { model: "m", data: ["d"], out: "o" };

test("a key that was added later has a default, and says what versions without it did", () => {
  for (const key of configKeys) {
    const { since, earlier = [], fallback, type }: Field<unknown> = fields[key];
    if (since === undefined) continue;
    expect(fallback, `${key} is always stored`).not.toBe(undefined);
    expect(earlier[0], key).toMatchObject({ before: since });
    for (const { value } of earlier) expect(type.safeParse(value).success, key).toBe(true);
  }
});

test("a config of 0.1.0 gets the defaults of 0.1.0, in any version", () => {
  const complete = completeConfig({ ...needed, steps: 5 }, "0.1.0", "step-1");
  for (const key of configKeys) {
    if (key in needed || ["steps", "epochs"].includes(key)) continue;
    if (["blr", "warmupSteps", "warmupEpochs"].includes(key)) continue; // set aside by a default of their group
    expect(complete[key], key).toEqual(defaultOf(key, "0.1.0"));
  }
  expect(complete).toMatchObject({ steps: 5, cellTokens: 2048, adapterDtype: "f32", onBadNumbers: "stop" });
  expect(complete.epochs).toBe(undefined);
});

test("of alternatives a stored one is enough", () => {
  const complete = completeConfig({ ...needed, blr: 0.1, warmupSteps: 2 }, "0.1.0", "step-1");
  expect([complete.lr, complete.warmupRatio, complete.epochs]).toEqual([undefined, undefined, 3]);
});

test("a key that was renamed has the value that a run stored under its old name", () => {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-renamed-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify({ ...needed, samples: 3, zerogate: "0.1.0" }));
  const notes: string[] = [];
  const onNote = (note: string) => notes.push(note);
  expect(completeConfig({ ...needed, samples: 3 }, "0.1.0", "step-1")).toMatchObject({ reportAnswers: 3 });
  expect(resolveConfig({ file, flags: {}, isStored: true, onNote })).toMatchObject({ reportAnswers: 3 });
  expect(notes).toEqual([]);
  writeFileSync(file, JSON.stringify({ ...needed, samples: 3 }));
  expect(resolveConfig({ file, flags: {}, onNote })).toMatchObject({ reportAnswers: 3 });
  expect(notes).toEqual([`samples (${file}, line 1) is taken as reportAnswers`]);
});

test("what is no config is refused", () => {
  expect(() => completeConfig({ ...needed, seed: "x" }, "0.1.0", "step-1")).toThrow(/config of step-1: seed/);
  expect(() => completeConfig({ ...needed, other: 1 }, "0.1.0", "step-1")).toThrow(/other/);
});

test("this version's config is what its defaults say", () => {
  const now = resolveConfig({ flags: needed });
  const keys = configKeys.filter((key) => defaultOf(key) !== undefined);
  expect(Object.fromEntries(keys.map((key) => [key, now[key]]))).toEqual(
    Object.fromEntries(keys.map((key) => [key, defaultOf(key)])),
  );
});

test("an added key stores what versions without it did", () => {
  const key = added("0.2.0", "response", fields.labels);
  expect(key).toMatchObject({ since: "0.2.0", earlier: [{ before: "0.2.0", value: "response" }] });
});
