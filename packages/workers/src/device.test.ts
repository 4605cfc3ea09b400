/** What a device remembers of its calls, on a host of the test's own. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { openDevice } from "./device.ts";
import type { DeviceApi } from "./device_api.ts";
import type { Host } from "./host.ts";

/** A host that answers at once and never ends. */
const host: Host = {
  api: {} as DeviceApi,
  pulse: () => ({ beats: 0, operation: "", thread: 0 }),
  waitedMs: () => 0,
  ended: new Promise(() => {}),
  async stop() {},
};

test("what a finished call answered is not kept for as long as the host lives [T-E3]", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const patience = { limit: () => Number.POSITIVE_INFINITY, learn() {}, grow() {} };
  const device = openDevice(0, host, patience, () => {});
  const ask = async () => new WeakRef(await device.call("cell", async () => ({ answer: 42 })));
  const answers = await Promise.all(Array.from({ length: 20 }, ask));
  await new Promise((resolve) => setTimeout(resolve)); // a WeakRef holds what it points to until its task ends
  collectGarbage();
  expect(answers.filter((answer) => answer.deref() !== undefined)).toEqual([]);
  await device.close();
});

test("the time of a load is no time of a cell [T-E3]", async () => {
  const learnt: number[] = [];
  const patience = { limit: () => Number.POSITIVE_INFINITY, learn: (ms: number) => void learnt.push(ms), grow() {} };
  const device = openDevice(0, host, patience, () => {});
  await device.call("load", async () => {});
  expect(learnt).toEqual([]);
  await device.call("cell", async () => {});
  await device.call("cell", async () => {});
  expect(learnt).toHaveLength(2);
  await device.close();
});
