/** Devices that are lost in a step: what is expected of every pool, and a process with a pool of its own. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DeadlyCellError } from "@zerogate/core";
import { expect, test } from "vitest";
import { type DevicePoolOptions, openDevices } from "../src/index.ts";
import { bitsOf, only, openFaulty, setup, step, tinyFolder } from "./faulty_pool.ts";
import { markOf } from "./tiny_setup.ts";

/** Short, because hung devices must be waited for. */
const patienceMs = 200;
export const isolate = {};

export const expected = await openDevices({ workers: 1, setup, maxCells: 8 }).then(async (reference) => {
  const bits = await bitsOf(reference);
  await reference.close();
  return bits;
});

/** One device of two is lost at sample 4; returns the event of its death. */
export async function lose(kind: string, options: Partial<DevicePoolOptions> = {}) {
  const { faulty, events } = await openFaulty(2, [{ kind, sample: 4 }], { patienceMs, ...options });
  expect(await bitsOf(faulty)).toEqual(expected);
  const [died, ...more] = events.filter((event) => event.type === "worker-died");
  expect(more).toEqual([]);
  expect(died).toMatchObject({ restarts: true });
  const cellsRedone = expect.arrayContaining([1]);
  expect(events).toContainEqual({ type: "cells-redone", device: died?.device, of: "step 4", cells: cellsRedone });
  expect(await bitsOf(faulty)).toEqual(expected);
  return died;
}

export const silence = /^no sign of life for \d/;
export const inCell = /^step 4 cell 1, \w+ \(operation \d+\)$/;

/** A process with two devices of its own, one of which is lost at sample 4 of a step. */
export function startProgram(kind: string, options: Partial<DevicePoolOptions> = {}) {
  const weights = tinyFolder();
  const faults = [{ kind, token: markOf(4) }];
  const module = new URL("./faulty_engine.mjs", import.meta.url).href;
  const engine = { module, options: { faults, folder: weights.folder } };
  const { ids, target, offsets } = setup.tokens.train;
  const tokens = { ids: [...ids], target: [...target], offsets: [...offsets] };
  const plain = { ...setup, engine, jobs: [{ ...only, params: [...only.params] }], tokens, weights };
  const child = spawn(process.execPath, [fileURLToPath(new URL("./step_program.mjs", import.meta.url))]);
  child.stdin.end(JSON.stringify({ setup: plain, step, maxCells: 8, patienceMs, ...options }));
  return { child, folder: weights.folder };
}

export function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return !readFileSync(`/proc/${processId}/stat`, "latin1").includes(") Z ");
  } catch {
    return false;
  }
}

/** What holds for a device in a thread as for one in a process. */
export function containerTests(options: Partial<DevicePoolOptions>): void {
  test("that is slow but alive is never taken for hung", async () => {
    // Its first cell takes longer than the patience for it (1 s), in operations of 60 ms.
    const { faulty, events } = await openFaulty(1, [{ kind: "slow", sample: 0 }], { patienceMs, ...options });
    expect(await bitsOf(faulty)).toEqual(expected);
    expect(events.map(({ type }) => type)).toEqual(["worker-started"]);
  });

  test("that hangs at one cell twice ends the step with the cell and its samples, and the pool goes on", async () => {
    const faults = [{ kind: "endless-loop", sample: 9, times: 2 }];
    const { faulty } = await openFaulty(2, faults, { patienceMs, ...options });
    const thrown = await faulty.runStep(step).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(DeadlyCellError);
    expect(thrown).toMatchObject({ of: "step 4", cell: 4, samples: [8, 9] });
    expect(String(thrown)).toMatch(
      /cell 4 \(samples 8, 9\) ended two workers, last by: no sign of life for \S+ s, at step 4 cell 4, embed \(operation \d+\)$/,
    );
    expect(await bitsOf(faulty)).toEqual(expected);
  });

  test("that cannot be started again is given up, and the others finish", async () => {
    const { faulty, events } = await openFaulty(2, [{ kind: "exit", sample: 5 }], { maxLoads: 2, ...options });
    expect(await bitsOf(faulty)).toEqual(expected);
    // However many steps are over before: they forgive those only who live through them.
    while (!events.some((event) => event.type === "worker-died" && !event.restarts)) {
      expect(await bitsOf(faulty)).toEqual(expected);
    }
    expect(await bitsOf(faulty)).toEqual(expected);
  });

  test("that is closed in the middle of an endless loop ends", async () => {
    const { faulty } = await openFaulty(2, [{ kind: "endless-loop", sample: 0 }], options);
    const running = faulty.runStep(step);
    setTimeout(() => void faulty.close(), 50);
    await expect(running).rejects.toThrow("Cannot finish step 4: the device pool was closed");
  });
}
