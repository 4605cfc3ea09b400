import * as fc from "fast-check";
import { test } from "vitest";
import { describeSchedules, expectAsAlone, schedules } from "../../test/schedules.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { createReferenceEngine } from "../engine/reference.ts";

describeSchedules("reference", createReferenceEngine, { runs: 30, changes: {} });

test.each(tinyBases)("two random schedules on $title", async ({ changes }) => {
  const { model, config } = tinyModel({ ...changes, eosTokenIds: [] });
  const property = fc.asyncProperty(
    schedules(model, [undefined, tinyAdapter(config)], { prompt: 18, answer: 6 }),
    (schedule) => expectAsAlone(model, schedule),
  );
  await fc.assert(property, { numRuns: 2, seed: 3 });
});
