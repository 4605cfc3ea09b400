/** Pools whose engines fail as told: see faulty_engine.mjs. Opened ones are closed after each test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import {
  type AdapterVersion,
  type DeviceEvent,
  type DeviceJob,
  type DevicePool,
  type DevicePoolOptions,
  openDevices,
} from "../src/index.ts";
import { markOf, type TinySetup, tinyJob, tinySetup, writeTinyBase } from "./tiny_setup.ts";
import { totalOf } from "./total.ts";

/** Twelve samples in seven cells, uneven on purpose. */
export const cells: number[][] = [[0, 1, 2], [3, 4], [5], [6, 7], [8, 9], [10], [11]];
/** The only job of `setup`, and its adapter by version. */
export const only: DeviceJob = tinyJob("tiny");
export const adapterAt = (version: number): AdapterVersion => ({ job: only.id, version });
export const setup: TinySetup = tinySetup([only]);
export const labelledTokens: number = setup.tokens.train.target.reduce((sum, target) => sum + target, 0);
/** What a pool is opened for, besides faults. */
export interface FaultyOptions extends Partial<DevicePoolOptions> {
  /** See faulty_engine.mjs. */
  readonly maxLoads?: number;
  readonly loads?: readonly (readonly ("exit" | "hang" | "load")[])[];
  /** Those of `setup` if they are left out. */
  readonly jobs?: readonly DeviceJob[];
}

export const step = { step: 4, cells, scale: 1 / labelledTokens, ...adapterAt(1) };

export interface Fault {
  /** Of faulty_engine.mjs; anything that it does not know is hexadecimal, written into the middle of the frames. */
  readonly kind: string;
  readonly sample: number;
  readonly device?: number;
  readonly times?: number;
}

export interface FaultyPool {
  readonly faulty: DevicePool;
  readonly events: DeviceEvent[];
  readonly hungThread: () => number;
  readonly passes: () => number;
  readonly releaseLateThrow: (release?: number) => void;
}

const opened: DevicePool[] = [];
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((pool) => pool.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

export async function open(workers: number, options: Partial<DevicePoolOptions> = {}): Promise<DevicePool> {
  const pool = await openDevices({ workers, setup, maxCells: 8, ...options });
  opened.push(pool);
  return pool;
}

/** A temporary folder with the setup's base in it. */
export function tinyFolder(): ReturnType<typeof writeTinyBase> {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-workers-"));
  folders.push(folder);
  return writeTinyBase(folder);
}

/** @param options `isolate` opens processes instead of threads. */
export async function openFaulty(
  workers: number,
  faults: readonly Fault[],
  { maxLoads, loads, jobs = setup.jobs, ...options }: FaultyOptions = {},
): Promise<FaultyPool> {
  const weights = tinyFolder();
  const shared = new Int32Array(new SharedArrayBuffer(12));
  const events: DeviceEvent[] = [];
  const engine = {
    module: new URL("faulty_engine.mjs", import.meta.url).href,
    options: {
      faults: faults.map(({ sample, ...fault }) => ({ ...fault, token: markOf(sample) })),
      folder: weights.folder,
      maxLoads,
      loads,
      ...(!options.isolate && { shared }),
    },
  };
  const faulty = await open(workers, {
    setup: { ...setup, jobs, engine, ...(options.isolate && { weights }) },
    onEvent: (event) => events.push(event),
    ...options,
  });
  return {
    faulty,
    events,
    hungThread: () => Atomics.load(shared, 0),
    passes: () => Atomics.load(shared, 1),
    releaseLateThrow: (release = 1) => Atomics.store(shared, 2, release),
  };
}

export const bitsOf = async (from: DevicePool): Promise<Int32Array> => totalOf(await from.runStep(step)).sums;

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
