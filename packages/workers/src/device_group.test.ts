/** How a group deals tasks, on containers of the test's own: each answers, throws, hangs and ends when the test says so. */
import { DeadlyCellError } from "@zerogate/core";
import { expect, test } from "vitest";
import { dealOf, died, open, settle } from "../test/group_of_lives.ts";

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

test("a task whose worker dies goes to whoever is free, before others; what the dead one did counts if results do not lie with it", async () => {
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

test("if results lie with the worker all that it did is dealt again, in the order of its number, after that is said once", async () => {
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

test("a worker that dies while it does nothing costs no task, and nothing is said of any", async () => {
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

test("what a task throws is tried on another worker, which is waited for; the second time it ends the deal [T-E3]", async () => {
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
  expect(given).toHaveLength(3); // worker 0 leaves task 1 to the other
  newest(1).answer();
  await settle();
  expect(given.at(-1)).toBe("1 to 1");
  const second = new SyntaxError("again");
  newest(1).answer(second);
  expect(await dealing).toBe(second);
  expect(events.filter(({ type }) => type === "cell-failed")).toHaveLength(1);
  await group.close();
});

test("a worker alone tries a task again itself", async () => {
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
