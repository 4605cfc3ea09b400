import { configKeys } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { configFlags, configFlagTable, runFlagTable } from "./config_flags.ts";

test("every key is a flag, and a switch can be turned off", () => {
  const table = configFlagTable(configKeys);
  expect(Object.keys(table)).toEqual(configKeys);
  expect(table.batchSize).toEqual({
    group: "Common",
    argument: "<n>",
    about: "sequences per optimizer step over all workers (default: 32)",
  });
  expect(table.decayGroup.about).toBe("what decays (all, original, none; default: all)");
  expect(table.dropLast).toMatchObject({ isNegatable: true });
  expect(configFlags({ batchSize: "4", json: true, seed: undefined })).toEqual({ batchSize: "4" });
});

test("a command on a run shows choices and no defaults: the run has its own", () => {
  const { decayGroup, maxLength, batchSize } = runFlagTable(configKeys);
  expect(decayGroup.about).toBe("what decays (all, original, none)");
  expect(maxLength.about).toBe("tokens per record, longer ones are cut");
  expect(batchSize.about).toBe("sequences per optimizer step over all workers");
  const all = Object.values(runFlagTable(configKeys)).map(({ about }) => about);
  expect(all.filter((about) => about.includes("default"))).toEqual([]);
});
