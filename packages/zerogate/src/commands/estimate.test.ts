/** `zerogate estimate` on a base of which only config and tokenizer are there. */
import { cpSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { MeasuredDevice, TimeEstimate } from "@zerogate/trainer/command";
import { expect, test } from "vitest";
import { openPlace } from "../../test/here.ts";

const place = openPlace();
const { at } = place;
cpSync(place.base, at("unfetched"), { recursive: true });
rmSync(join(at("unfetched"), "model.safetensors"));
const estimate = (...more: string[]) =>
  place.run([
    "estimate",
    ...Object.entries({
      "--model": at("unfetched"),
      "--data": at("data.json"),
      "--cache-dir": at("cache"),
      "--batch-size": "4",
      "--max-length": "128",
      "--cell-tokens": "128",
      "--epochs": "2",
    }).flat(),
    ...more,
  ]);

test("a run is estimated without weights, for the devices that are named, and writes nothing", async () => {
  const { code, json, stderr } = await estimate("--on", "8xH100", "--on", "a100", "--json", "--leader-ms", "8");
  expect([code, stderr]).toEqual([0, expect.not.stringContaining("weights")]);
  const [{ estimates = [], ...facts } = {}] = json as Record<string, unknown>[] as { estimates?: object[] }[];
  expect(facts).toMatchObject({ samples: 23, steps: 12, batchSize: 4, cellMultiple: 8 });
  expect(estimates).toMatchObject([
    { device: "H100", devices: 8, teraflops: 989, utilization: 0.5, leaderMs: 8, leader: 12 * 0.008 },
    { device: "A100", devices: 1, gigabytes: 80, waiting: 0 },
  ]);
  expect(existsSync("run")).toBe(false);
});

test("a person reads parts, memory and what limits, by default of one to sixteen devices", async () => {
  const { code, stdout } = await estimate();
  expect(code).toBe(0);
  expect(stdout.match(/^\d+ x H100 at 50% of 989 TFLOP\/s: /gm)).toHaveLength(5);
  for (const part of ["computing", "waiting", "leader", "validation", "memory", "limit"]) {
    expect(stdout.match(new RegExp(`^ {2}${part} `, "gm"))).toHaveLength(5);
  }
  expect(stdout).toContain("Loading the base is not in it. Nothing was trained or written.");
});

test("devices and numbers that mean nothing are refused at once, all of them", async () => {
  const { code, stderr } = await estimate("--on", "8xFoo", "--on", "0xH100", "--utilization", "2", "--leader-ms", "x");
  expect(code).toBe(2);
  expect(stderr).toContain('--on is "8xFoo", expected a number and a device as in 8xH100: known are A10, A100');
  expect(stderr).toContain('--on is "0xH100"');
  expect(stderr).toContain('--utilization is "2", expected a number of at least 0.01 and at most 1');
  expect(stderr).toContain('--leader-ms is "x"');
  expect(stderr).not.toContain("tokenising");
});

test("a device of this machine is measured by the plan's own cells, and several of them divide the work", async () => {
  const args = ["--model", place.base, "--on", "here", "--on", "2xhere", "--leader-ms", "0", "--cell-multiple", "2"];
  const { code, json, stderr } = await estimate(...args, "--engine", "reference", "--json");
  expect([code, stderr]).toEqual([0, expect.stringContaining("measuring a device")]);
  type Estimated = TimeEstimate & { readonly device: string; readonly devices: number; readonly utilization: number };
  const [{ measured, estimates }] = json as [{ measured: MeasuredDevice; estimates: [Estimated, Estimated] }];
  expect(measured).toMatchObject({ engine: "reference", compute: "f32", cells: 3 });
  const [one, two] = estimates;
  expect([one.device, one.devices, two.devices, one.utilization]).toEqual(["here", 1, 2, 1]);
  const tokens = one.tokensPerSecond * one.total;
  expect(one.computing / ((tokens / measured.tokens) * (measured.cellMs / 1000))).toBeCloseTo(1, 0);
  expect(two.computing).toBeCloseTo(one.computing / 2, 6);
});

test("a device cannot be measured without weights", async () => {
  const { code, stderr } = await estimate("--on", "here");
  expect(code).toBe(2);
  expect(stderr).toContain("unfetched");
});
