/** The plan against what a cell really takes. Other families: memory_plan.campaign.test.ts. */
import { expect, test } from "vitest";
import { absent } from "../test/fake.ts";
import { cellBytes } from "../test/planned_cell.ts";

test.skipIf(absent !== "")(
  `the plan of a cell of a llama predicts within a twentieth what it takes besides weights and workspace${absent}`,
  async () => {
    const { taken, planned } = await cellBytes({});
    expect(Math.abs(taken / planned - 1), `${taken} taken, ${planned} planned`).toBeLessThan(0.05);
  },
);
