/** How a group deals tasks, on containers of the test's own: each answers, throws, hangs and ends when the test says so. */

import { setImmediate as turn } from "node:timers/promises";
import { DeadlyCellError } from "@zerogate/core";
import { expect, test } from "vitest";
import type { Container } from "./container.ts";
import type { Deal } from "./deal.ts";
import type { DeviceSetup } from "./device_api.ts";
import type { DeviceEvent } from "./device_event.ts";
import { DeviceGroup } from "./device_group.ts";

interface Life extends Container {
  readonly device: number;
  isStopped: boolean;
  /** Ends it, as a crash does. */
  end(reason: string): void;
  /** Answers the call that it is at. */
  answer(error?: Error): void;
  isAtWork(): boolean;
}

const patience = { limit: () => Number.POSITIVE_INFINITY, learn() {}, grow() {} };

/** A group whose containers load as `load` says: at once, never, or with an error; `lives` are all containers so far. */
function open(size: number, load: (device: number, life: number) => "load" | "hang" | Error = () => "load") {
  const lives: Life[] = [];
  const events: DeviceEvent[] = [];
  const started = Array.from({ length: size }, () => 0);
  const group = new DeviceGroup(
    size,
    {} as DeviceSetup,
    (device) => {
      const how = load(device, (started[device] = (started[device] ?? 0) + 1));
      const life = startLife(device, how);
      lives.push(life);
      return life;
    },
    patience,
    (event) => void events.push(event),
  );
  const newest = (device: number) => lives.findLast((life) => life.device === device) as Life;
  return { group, lives, events, newest };
}

function startLife(device: number, how: "load" | "hang" | Error): Life {
  let end: (reason: unknown) => void = () => {};
  let waiting: { resolve(): void; reject(error: Error): void } | undefined;
  const work = () =>
    new Promise<never>((resolve, reject) => {
      waiting = { resolve: () => resolve(undefined as never), reject };
    });
  const load = () =>
    how === "load"
      ? Promise.resolve({ engineName: `engine ${device}` })
      : how === "hang"
        ? new Promise<never>(() => {})
        : Promise.reject(how);
  const life: Life = {
    device,
    isStopped: false,
    api: { load, computeCell: work, evaluateCell: work, generate: work },
    pulse: () => ({ beats: 0, operation: "", thread: 0 }),
    waitedMs: () => 0,
    ended: new Promise((resolve) => (end = resolve)),
    async stop() {
      await turn(); // as an end of a thread does, it takes a while
      life.isStopped = true;
    },
    end: (reason) => end(new Error(reason)),
    answer(error) {
      const { resolve = () => {}, reject = () => {} } = waiting ?? {};
      waiting = undefined;
      if (error) reject(error);
      else resolve();
    },
    isAtWork: () => waiting !== undefined,
  };
  return life;
}

const settle = async () => {
  for (let i = 0; i < 5; i++) await turn();
};

/** A deal of the tasks of these numbers, and who was given which, in order. */
function dealOf(numbers: number[], onLost?: Deal["onLost"]) {
  const given: string[] = [];
  const deal: Deal = {
    name: "step 3",
    tasks: numbers.map((number) => ({ of: "step 3", number, samples: [10 * number] })),
    async run(at, device, index) {
      given.push(`${numbers[at]} to ${index}`);
      await device.call(`task ${numbers[at]}`, (api) => api.computeCell({} as never));
    },
    ...(onLost && { onLost }),
  };
  return { deal, given };
}

const died = (events: readonly DeviceEvent[]) =>
  events.flatMap((event) =>
    event.type === "worker-died" ? [`${event.device} ${event.reason} ${event.restarts}`] : [],
  );

test("tasks are dealt in their order to whoever is free, and a deal ends with the last one [T-E3]", async () => {
  const { group, newest } = open(2);
  expect(await group.start()).toMatch(/^engine \d$/);
  const { deal, given } = dealOf([4, 7, 9]);
  let isDone = false;
  const dealing = group.deal(deal).then(() => (isDone = true));
  expect(given).toEqual(["4 to 0", "7 to 1"]);
  newest(1).answer();
  await settle();
  expect(given).toEqual(["4 to 0", "7 to 1", "9 to 1"]);
  newest(1).answer();
  await settle();
  expect(isDone).toBe(false);
  newest(0).answer();
  await dealing;
  await expect(group.deal({ ...deal, tasks: [] })).resolves.toBeUndefined();
  await group.close();
});

test("one deal at a time, and none after the end [T-E3]", async () => {
  const { group, lives } = open(1);
  await group.start();
  const { deal } = dealOf([1]);
  const dealing = group.deal(deal);
  await expect(group.deal({ ...deal, name: "step 4" })).rejects.toThrow(
    "Cannot run step 4: step 3 is not finished, await it",
  );
  const closing = group.close();
  await expect(dealing).rejects.toThrow("Cannot finish step 3: the device pool was closed");
  await closing;
  expect(lives.map(({ isStopped }) => isStopped)).toEqual([true]);
  await expect(group.deal(deal)).rejects.toThrow("Cannot run step 3: the device pool is closed");
});

test("a job whose worker dies goes to whoever is free, before others; what the dead one did counts where results do not lie with it", async () => {
  const { group, events, newest } = open(2, (_, life) => (life === 1 ? "load" : "hang"));
  await group.start();
  const { deal, given } = dealOf([1, 2, 3, 4]);
  const dealing = group.deal(deal);
  newest(0).answer();
  await settle();
  expect(given).toEqual(["1 to 0", "2 to 1", "3 to 0"]);
  newest(0).end("it broke");
  await settle();
  expect(died(events)).toEqual(["0 it broke true"]);
  expect(events.at(-1)).toEqual({ type: "cells-redone", device: 0, of: "step 3", cells: [3] });
  for (let i = 0; i < 3; i++) {
    newest(1).answer();
    await settle();
  }
  expect(given.slice(3)).toEqual(["3 to 1", "4 to 1"]);
  await dealing;
  await group.close();
});

test("where results lie with the worker all that it did is dealt again, in the order of its number, after that is said once", async () => {
  const lost: number[] = [];
  const { group, events, newest } = open(2, (device, life) => (life === 1 || device === 1 ? "load" : "hang"));
  await group.start();
  const { deal, given } = dealOf([5, 2, 8, 1], (index) => void lost.push(index));
  const dealing = group.deal(deal);
  newest(0).answer();
  await settle();
  newest(0).end("gone");
  await settle();
  expect(lost).toEqual([0]);
  expect(events.at(-1)).toMatchObject({ cells: [5, 8] });
  for (let i = 0; i < 4; i++) {
    newest(1).answer();
    await settle();
  }
  expect(given).toEqual(["5 to 0", "2 to 1", "8 to 0", "5 to 1", "8 to 1", "1 to 1"]);
  await dealing;
  await group.close();
});

test("a worker that dies while it does nothing costs no job, and nothing is said of any", async () => {
  const { group, events, newest } = open(2);
  const begin = performance.now();
  await group.start();
  const took = performance.now() - begin;
  for (const event of events)
    expect(event).toMatchObject({ loadMs: expect.toSatisfy((ms: number) => ms >= 0 && ms <= took) });
  newest(1).end("idle");
  await settle();
  expect(events.map(({ type }) => type)).toEqual(["worker-started", "worker-started", "worker-died", "worker-started"]);
  const { deal, given } = dealOf([1, 2]);
  const dealing = group.deal(deal);
  expect(given).toEqual(["1 to 0", "2 to 1"]);
  for (const device of [0, 1]) newest(device).answer();
  await dealing;
  await group.close();
});

test("a task that ends two workers ends the deal, once the others are idle, and is dealt to no third [T-E3]", async () => {
  const { group, newest } = open(3);
  await group.start();
  const { deal, given } = dealOf([1, 2, 3, 4]);
  const dealing = group.deal(deal).catch((error: unknown) => error);
  newest(0).end("first");
  await settle();
  expect(given.at(-1)).toBe("1 to 0"); // started again at once, and free
  newest(0).end("second");
  await settle();
  expect(given).toHaveLength(4);
  let isOver = false;
  void dealing.then(() => (isOver = true));
  newest(1).answer();
  await settle();
  expect(isOver).toBe(false); // worker 2 is still at work
  newest(2).answer();
  const error = await dealing;
  expect(error).toBeInstanceOf(DeadlyCellError);
  expect(error).toMatchObject({ of: "step 3", cell: 1, samples: [10] });
  expect((error as Error).message).toContain("last by: second, at task 1");
  const next = dealOf([6]);
  const later = group.deal(next.deal);
  newest(0).answer();
  await later;
  await group.close();
});

test("what a job throws is tried on another worker, which is waited for; the second time it ends the deal [T-E3]", async () => {
  const { group, events, newest } = open(2);
  await group.start();
  const { deal, given } = dealOf([1, 2, 3]);
  const dealing = group.deal(deal).catch((error: unknown) => error);
  newest(0).answer(new SyntaxError("no good"));
  await settle();
  expect(events.at(-1)).toEqual({ type: "cell-failed", device: 0, of: "step 3", cell: 1, reason: "no good" });
  expect(given).toEqual(["1 to 0", "2 to 1", "3 to 0"]);
  newest(0).answer();
  await settle();
  expect(given).toHaveLength(3); // worker 0 leaves job 1 to the other
  newest(1).answer();
  await settle();
  expect(given.at(-1)).toBe("1 to 1");
  const second = new SyntaxError("again");
  newest(1).answer(second);
  expect(await dealing).toBe(second);
  expect(events.filter(({ type }) => type === "cell-failed")).toHaveLength(1);
  await group.close();
});

test("a worker alone tries a job again itself", async () => {
  const { group, newest } = open(1);
  await group.start();
  const { deal, given } = dealOf([1]);
  const dealing = group.deal(deal);
  newest(0).answer(new Error("once"));
  await settle();
  expect(given).toEqual(["1 to 0", "1 to 0"]);
  newest(0).answer();
  await dealing;
  await group.close();
});

test("with the others lost for good a worker is alone", async () => {
  const { group, newest } = open(2, (device, life) => (device === 1 && life > 1 ? new Error("no") : "load"));
  await group.start();
  newest(1).end("gone");
  await settle();
  const { deal, given } = dealOf([1, 2]);
  const dealing = group.deal(deal);
  newest(0).answer(new Error("once"));
  await settle();
  expect(given).toEqual(["1 to 0", "1 to 0"]);
  newest(0).answer();
  await settle();
  newest(0).answer();
  await dealing;
  await group.close();
});

test("a worker that dies three times in a row is given up, each time with its reason; a deal that is lived through begins the count anew [T-E3]", async () => {
  const { group, events, newest, lives } = open(1);
  await group.start();
  for (const reason of ["a", "b"]) {
    newest(0).end(reason);
    await settle();
  }
  const { deal } = dealOf([1]);
  const dealing = group.deal(deal);
  newest(0).answer();
  await dealing;
  for (const reason of ["c", "d", "e"]) {
    newest(0).end(reason);
    await settle();
  }
  expect(died(events)).toEqual(["0 a true", "0 b true", "0 c true", "0 d true", "0 e false"]);
  expect(lives).toHaveLength(5);
  expect(lives.every(({ isStopped }) => isStopped)).toBe(true);
  await expect(group.deal(deal)).rejects.toThrow("Cannot finish step 3: all workers died, 1 of 1 tasks are left");
  await group.close();
});

test("where results lie with the worker a job that is done forgives no death, only the deal's end does", async () => {
  const { group, events, newest } = open(2);
  await group.start();
  const { deal } = dealOf([1, 2, 3, 4, 5, 6, 7, 8], () => {});
  const dealing = group.deal(deal).catch((error: unknown) => error);
  for (const reason of ["a", "b", "c"]) {
    newest(0).answer();
    await settle();
    newest(0).end(reason);
    await settle();
  }
  expect(died(events)).toEqual(["0 a true", "0 b true", "0 c false"]);
  await group.close();
  expect(await dealing).toBeInstanceOf(Error);
});

test("where results are handed over each job that is done forgives the deaths before it", async () => {
  const { group, events, newest } = open(1);
  await group.start();
  const { deal } = dealOf([1, 2, 3, 4, 5, 6, 7, 8]);
  const dealing = group.deal(deal).catch((error: unknown) => error);
  for (const reason of ["a", "b", "c", "d"]) {
    newest(0).answer();
    await settle();
    newest(0).end(reason);
    await settle();
  }
  expect(died(events)).toEqual(["0 a true", "0 b true", "0 c true", "0 d true"]);
  await group.close();
  expect(await dealing).toBeInstanceOf(Error);
});

test("a start that an error of the worker's ends closes all, and waits for them", async () => {
  const { group, lives } = open(3, (device) => (device === 1 ? new TypeError("no such engine") : "load"));
  await expect(group.start()).rejects.toThrow("no such engine");
  expect(lives.map(({ isStopped }) => isStopped)).toEqual([true, true, true]);
});

test("a start ends when the last of those that died while loading is given up, with the last reason and how many there were", async () => {
  const { group, lives } = open(2, () => "hang");
  const starting = group.start().catch((error: unknown) => (error as Error).message);
  for (let i = 0; i < 6; i++) {
    await settle();
    const life = lives.find(({ isStopped }) => !isStopped);
    life?.end(`reason ${i}`);
  }
  expect(await starting).toMatch(
    /^Cannot start computing: all 2 workers died while loading, the last time by: reason 5, at load$/,
  );
  expect(lives).toHaveLength(6);
});

test("a worker that cannot load again says why, by its own words or as its text", async () => {
  const { group, events, newest } = open(1, (_, life) => (life === 1 ? "load" : new Error("the base is another one")));
  await group.start();
  newest(0).end("crash");
  await settle();
  expect(died(events)).toEqual(["0 crash true", "0 the base is another one true", "0 the base is another one false"]);
  expect(events.at(-1)).toMatchObject({ lastOperation: "load" });
  await group.close();
});

test("a close while a worker is started again starts no other", async () => {
  const { group, events, newest, lives } = open(1, (_, life) => (life === 1 ? "load" : "hang"));
  await group.start();
  newest(0).end("crash");
  await settle();
  expect(lives).toHaveLength(2);
  await group.close();
  await settle();
  expect(lives).toHaveLength(2);
  expect(lives.every(({ isStopped }) => isStopped)).toBe(true);
  expect(died(events)).toEqual(["0 crash true"]);
});

test("of what was done only the dead worker's share is dealt again", async () => {
  const { group, events, newest } = open(2, (device, life) => (life === 1 || device === 1 ? "load" : "hang"));
  await group.start();
  const { deal, given } = dealOf([1, 2, 3, 4], () => {});
  const dealing = group.deal(deal);
  for (const device of [0, 1]) {
    newest(device).answer();
    await settle();
  }
  newest(0).end("gone");
  await settle();
  expect(events.at(-1)).toEqual({ type: "cells-redone", device: 0, of: "step 3", cells: [1, 3] });
  for (let i = 0; i < 3; i++) {
    newest(1).answer();
    await settle();
  }
  expect(given).toEqual(["1 to 0", "2 to 1", "3 to 0", "4 to 1", "1 to 1", "3 to 1"]);
  await dealing;
  await group.close();
});

test("a worker that dies with nothing to do costs the deal of others nothing, also where it died at a job before", async () => {
  const { group, events, newest } = open(2);
  await group.start();
  const { deal, given } = dealOf([1]);
  const dealing = group.deal(deal);
  newest(0).end("at work");
  await settle();
  expect(given).toEqual(["1 to 0", "1 to 1"]);
  newest(0).end("idle");
  await settle();
  expect(events.filter(({ type }) => type === "cells-redone")).toHaveLength(1);
  newest(1).answer();
  await dealing;
  await group.close();
});
