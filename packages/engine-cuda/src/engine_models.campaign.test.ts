/** Whole models on the emulator: golden values in bf16, and every base in both types of inner numbers. The rest: engine.test.ts. */
import { afterAll, describe } from "vitest";
import { describeGolden } from "../../core/test/golden.ts";
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { emulated } from "../test/emulated.ts";
import { absent } from "../test/fake.ts";

const { open, close } = emulated();
afterAll(close);

describe.skipIf(absent !== "")(`on the emulator${absent}`, () => {
  // Some two hundred roundings of 2e-3 on the way to a logit; the largest differences that were seen are 3.4e-2.
  describeGolden("cuda bf16", () => open("bf16"), 5e-2, { coarse: true });
  for (const [compute, tolerance] of [
    ["f32", 1e-5],
    ["bf16", 5e-2],
  ] as const) {
    describeShared(`cuda ${compute}`, () => open(compute), tolerance);
    describeLabelled(`cuda ${compute}`, () => open(compute), tolerance);
  }
});
