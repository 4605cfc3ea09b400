/** What a group does about workers that die: how often each is started again, and what is dealt anew. */
import { expect, test } from "vitest";
import { dealOf, died, open, settle } from "../test/group_of_lives.ts";

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

test("if results lie with the worker a task that is done forgives no death, only the deal's end does", async () => {
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

test("if results are handed over each task that is done forgives the deaths before it", async () => {
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

test("a worker that dies with nothing to do costs the deal of others nothing, also if it died at a task before", async () => {
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
