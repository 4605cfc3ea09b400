import { expect, test } from "vitest";
import { sharedDevices } from "./shared_devices.ts";

test("ranks may share a host, and devices of different hosts may have one name", () => {
  const ranks = [
    { host: "a", exclusive: ["GPU 0", "GPU 1"] },
    { host: "a", exclusive: ["GPU 2"] },
    { host: "b", exclusive: ["GPU 0"] },
    { host: "b", exclusive: [] },
    { host: "b", exclusive: [] },
  ];
  expect(sharedDevices(ranks)).toEqual([]);
});

test("each device that several ranks would use is named with them, and at the end what to type", () => {
  const ranks = [
    { host: "a", exclusive: ["GPU 0", "GPU 1"] },
    { host: "b", exclusive: ["GPU 0"] },
    { host: "a", exclusive: ["GPU 1", "GPU 0"] },
  ];
  expect(sharedDevices(ranks)).toEqual([
    "ranks 0, 2 would all compute on GPU 0 of a",
    "ranks 0, 2 would all compute on GPU 1 of a",
    expect.stringContaining("--map-by ppr:1:node"),
  ]);
});
