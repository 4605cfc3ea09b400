import { configKeys } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { configFlags, configFlagTable } from "./config_flags.ts";

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
