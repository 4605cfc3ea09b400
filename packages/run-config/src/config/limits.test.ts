/** No number of a config is without an end. */
import { expect, test } from "vitest";
import { configKeys, fields } from "./fields.ts";
import type { Field } from "./kinds.ts";

const counts = configKeys.filter((key) => fields[key].argument === "<n>");
const durations = { workerTimeout: 1000, hostTimeout: 1000, saveMinutes: 60_000, diskPatience: 60_000 } as const;

test("every whole number of a config has a maximum, which is named [T-B11]", () => {
  expect(counts).toEqual(expect.arrayContaining(["workers", "adapterLen", "batchSize", "cellTokens", "maxLength"]));
  for (const key of counts) {
    const { type, expects }: Field<unknown> = fields[key];
    const max = Number(/ and at most (\d+)$/.exec(expects)?.[1]);
    expect([key, [max, max + 1, 1e15].map((value) => type.safeParse(value).success)]).toEqual([
      key,
      [true, false, false],
    ]);
  }
});

test("every duration fits a timer, which ends at 2³¹ ms [T-B11]", () => {
  for (const [key, ms] of Object.entries(durations)) {
    const { type, expects }: Field<unknown> = fields[key as keyof typeof durations];
    const max = Number(/ and at most (\d+)$/.exec(expects)?.[1]);
    expect([key, type.safeParse(max).success, type.safeParse(max + 1).success]).toEqual([key, true, false]);
    expect(max * ms).toBeLessThan(2 ** 31);
  }
});
