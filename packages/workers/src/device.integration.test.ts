/** What a device remembers of its calls and says of its end, on a container of the test's own. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type DeviceDiedError, EngineLostError } from "@zerogate/core";
import { decodeError, encodeError } from "@zerogate/core/training";
import { expect, test, vi } from "vitest";
import type { Container } from "./container.ts";
import { openDevice } from "./device.ts";
import type { DeviceApi } from "./device_api.ts";

/** A container that answers at once and never ends by itself. */
function openContainer(): {
  container: Container;
  pulse: { beats: number; operation: string; thread: number };
  end: (reason: unknown) => void;
  stops: number[];
} {
  const pulse = { beats: 0, operation: "", thread: 0 };
  const stops: number[] = [];
  let end: (reason: unknown) => void = () => {};
  const container: Container = {
    api: {} as DeviceApi,
    pulse: () => ({ ...pulse }),
    waitedMs: () => 0,
    ended: new Promise((resolve) => (end = resolve)),
    async stop() {
      stops.push(stops.length);
    },
  };
  return { container, pulse, end: (reason) => end(reason), stops };
}
const quiet = openContainer().container;
const forever = { limit: () => Number.POSITIVE_INFINITY, learn() {}, grow() {} };
const never = () => new Promise<never>(() => {});

test("what a finished call answered is not kept for as long as the container lives [T-E3]", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const device = openDevice(0, quiet, forever, () => {});
  const ask = async () => new WeakRef(await device.call("cell", async () => ({ answer: 42 })));
  const answers = await Promise.all(Array.from({ length: 20 }, ask));
  await new Promise((resolve) => setTimeout(resolve)); // a WeakRef holds what it points to until its task ends
  collectGarbage();
  expect(answers.filter((answer) => answer.deref() !== undefined)).toEqual([]);
  await device.close();
});

test("the time of a load is no time of a cell, that of a cell is learnt as it was [T-E3]", async () => {
  const learnt: number[] = [];
  const patience = { ...forever, learn: (ms: number) => void learnt.push(ms) };
  const device = openDevice(0, quiet, patience, () => {});
  const clock = vi.spyOn(performance, "now");
  clock.mockReturnValue(1000);
  await device.call("load", async () => {});
  expect(learnt).toEqual([]);
  await device.call("cell", async () => void clock.mockReturnValue(1250));
  await device.call("cell", async () => void clock.mockReturnValue(1300));
  clock.mockRestore();
  expect(learnt).toEqual([250, 50]);
  await device.close();
});

test("a call is answered or thrown as the worker did, and both count as calls that are finished or not", async () => {
  const limits: number[] = [];
  const patience = { ...forever, limit: (finished: number) => (limits.push(finished), Number.POSITIVE_INFINITY) };
  const device = openDevice(0, quiet, patience, () => {});
  expect(await device.call("load", async () => "loaded")).toBe("loaded");
  await expect(device.call("cell", () => Promise.reject(new SyntaxError("wrong")))).rejects.toThrow(SyntaxError);
  await device.call("cell", () => new Promise((resolve) => setTimeout(resolve, 150)));
  expect(new Set(limits)).toEqual(new Set([1])); // what threw taught nothing about how long a cell takes
  await device.close();
});

test("a call that has ended, well or badly, is watched no more", async () => {
  const deaths: unknown[] = [];
  let limits = 0;
  const patience = { ...forever, limit: () => (limits++, Number.POSITIVE_INFINITY) };
  const device = openDevice(0, quiet, patience, (error) => deaths.push(error));
  await device.call("load", async () => {});
  await device.call("cell", () => Promise.reject(new SyntaxError("wrong"))).catch(() => {});
  const before = limits;
  await new Promise((resolve) => setTimeout(resolve, 500)); // several looks of a watch
  expect(limits).toBe(before);
  expect(deaths).toEqual([]);
  await device.close();
});

test("a death ends the call, is reported once with the last operation and what came of it, and later calls have the same error", async () => {
  const { container, pulse, end } = openContainer();
  const deaths: DeviceDiedError[] = [];
  const device = openDevice(3, container, forever, (error) => deaths.push(error));
  pulse.beats = 5;
  pulse.operation = "linear";
  const call = device.call("step 1 cell 2", never).catch((error: unknown) => error);
  pulse.beats = 7;
  end(new Error("it crashed"));
  const error = await call;
  expect(deaths).toEqual([error]);
  expect(error).toMatchObject({
    name: "DeviceDiedError",
    device: 3,
    reason: "it crashed",
    lastOperation: "step 1 cell 2, linear (operation 2)",
    message: "Worker 3 died, last at step 1 cell 2, linear (operation 2): it crashed",
  });
  expect(await device.call("more", async () => 1).catch((later: unknown) => later)).toBe(error);
  await device.close();
  expect(deaths).toHaveLength(1);
});

test("a death before any call is one at the start, in the words of the container, and an operation of an earlier call is none of this one", async () => {
  const { container, pulse, end } = openContainer();
  const deaths: DeviceDiedError[] = [];
  openDevice(0, container, forever, (error) => deaths.push(error));
  end("its port was closed");
  await new Promise((resolve) => setTimeout(resolve));
  expect(deaths).toMatchObject([{ lastOperation: "start", reason: "its port was closed" }]);
  const other = openContainer();
  const device = openDevice(0, other.container, forever, (error) => deaths.push(error));
  Object.assign(other.pulse, { beats: 9, operation: "embed" });
  const call = device.call("cell", never).catch(() => {});
  other.end("x");
  await call;
  expect(deaths[1]).toMatchObject({ lastOperation: "cell" });
  expect(pulse.beats).toBe(0);
});

test("an engine that lost its device is a death, whatever class its error has here", async () => {
  const deaths: DeviceDiedError[] = [];
  const device = openDevice(0, openContainer().container, forever, (error) => deaths.push(error));
  const lost = decodeError(structuredClone(encodeError(new EngineLostError("the GPU is gone"))));
  await expect(device.call("cell", () => Promise.reject(lost))).rejects.toMatchObject({ name: "DeviceDiedError" });
  expect(deaths).toMatchObject([{ reason: "the GPU is gone", cause: lost }]);
});

test("silence beyond the limit is a death with its seconds, and makes the next limit longer; a beat begins it anew", async () => {
  const { container, pulse } = openContainer();
  let grown = 0;
  const deaths: DeviceDiedError[] = [];
  const patience = { limit: () => 350, learn() {}, grow: () => void grown++ };
  const device = openDevice(1, container, patience, (error) => deaths.push(error));
  const beating = setInterval(() => pulse.beats++, 50);
  const call = device.call("cell", never).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 900));
  expect(deaths).toEqual([]);
  clearInterval(beating);
  expect(await call).toBe(deaths[0] as DeviceDiedError);
  expect(deaths[0]?.reason).toMatch(/^no sign of life for (0\.[3-9]|[1-9]\.\d) s$/);
  expect(grown).toBe(1);
  await device.close();
});

test("a device that is closed ends its call with that word, stops its container, and its end afterwards is no death", async () => {
  const { container, end, stops } = openContainer();
  const deaths: DeviceDiedError[] = [];
  const device = openDevice(2, container, forever, (error) => deaths.push(error));
  const call = device.call("step 4 cell 0", never).catch((error: unknown) => (error as Error).message);
  await device.close();
  expect(await call).toBe("Cannot finish step 4 cell 0: worker 2 was closed");
  expect(stops).toEqual([0]);
  end("afterwards");
  await new Promise((resolve) => setTimeout(resolve));
  expect(deaths).toEqual([]);
  await expect(device.call("later", async () => 1)).rejects.toThrow("worker 2 was closed");
});

test("a close waits for its container", async () => {
  let isStopped = false;
  const slow = {
    ...openContainer().container,
    stop: async () => void (await new Promise((resolve) => setTimeout(resolve, 20)), (isStopped = true)),
  };
  await openDevice(0, slow, forever, () => {}).close();
  expect(isStopped).toBe(true);
});
