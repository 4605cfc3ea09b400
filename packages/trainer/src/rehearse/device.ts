/**
 * A device that computes nothing: every cell takes as long as its cost says. Only a rehearsal can open it: it has no
 * description, so that no config can name this module, and no engine without a cost.
 */
import { setImmediate } from "node:timers/promises";
import { InputError } from "@zerogate/core";
import {
  cellsOfLoss,
  createArena,
  type DeltaOperations,
  type DeviceArray,
  deltaWidths,
  type Engine,
  flatEngine,
  type HostTensor,
  lengthOf,
  type Matrix,
} from "@zerogate/core/engine";
import { addFixedPoint, type SampleCost } from "@zerogate/core/training";
import { addFixedPoint as addNatively, probe } from "@zerogate/engine-cpu";

/** Plain data over shared memory. */
export interface DeviceOptions {
  /** Milliseconds of a training cell. */
  readonly cost: SampleCost;
  /** Element 0 names the device that ends in the middle of its next cell, from 1; it is 0 again then. */
  readonly kill: Int32Array;
  /** Element 0 is when the first device began with this step, in nanoseconds of `process.hrtime`; 0n before that. */
  readonly stepStart: BigInt64Array;
}

/** Name under which such devices stand in events and files. */
export const REHEARSAL = "rehearsal";

/** Length of what a read returns at most, filled once. */
let numbers = new Float32Array(0);

/** What workers call. */
export function createEngine({ cost, kill, stepStart }: Partial<DeviceOptions>, device: number): Engine {
  if (!cost || !kill || !stepStart)
    throw new InputError("Cannot open a device that takes time", "a rehearsal gives its cost: zerogate rehearse");
  const { take, ...lifetimes } = createArena<DeviceArray>({
    take: (length) => ({ length }),
    recycle() {},
    endArena() {},
  });
  let cellMs = 0;
  let lastStart = 0n;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  /** Waits in the thread: a timer would be late by up to two milliseconds. */
  const waitUntil = (end: bigint) => {
    const left = Number(end - process.hrtime.bigint()) / 1e6;
    if (left > 0) Atomics.wait(clock, 0, 0, left);
  };
  /**
   * A step's first cells begin at once. Here they may have to wait for a core, because more devices are rehearsed than this
   * machine has cores: that is no part of the job.
   */
  const beginCell = (): bigint => {
    const now = process.hrtime.bigint();
    const first = Atomics.compareExchange(stepStart, 0, 0n, now) || now;
    const isSecond = first === lastStart;
    lastStart = first;
    return isSecond ? now : first;
  };
  const engine: Engine = {
    name: REHEARSAL,
    weightDtypes: ["f32", "bf16", "f16", "i8", "nf4", "i4"],
    softCaps: true,
    matrix: ({ shape: [rows = 0, columns = 1] }: Pick<HostTensor, "shape">): Matrix => ({ rows, columns }),
    mapped: ({ shape }) => engine.matrix({ shape } as HostTensor),
    upload: (values) => take(values.length),
    read: async ({ length }) => constant(length),
    ...lifetimes,
    async arena(work) {
      const begin = beginCell();
      cellMs = 0;
      const result = await lifetimes.arena(work);
      const dies = Atomics.compareExchange(kill, 0, device + 1, 0) === device + 1;
      await setImmediate(); // what a worker does while a device computes
      waitUntil(begin + BigInt(Math.round(1e6 * (dies ? cellMs / 2 : cellMs))));
      if (dies) process.exit();
      return result;
    },
    kvCache: (capacity) => ({ capacity }),
    freeCache() {},
    embed: (table, ids_T) => take(ids_T.length * table.columns),
    ...flatEngine((_, { outputs }) => {
      const made = Object.entries(outputs).map(([name, shape]) => ({ name, length: lengthOf(shape) }));
      return (_values, size) => Object.fromEntries(made.map(({ name, length }) => [name, take(length(size))]));
    }),
    linear: (_x, weight, { T, rows: [from, to] = [0, weight.rows] }) => take(T * (to - from)),
    linearBackward: (_dy, weight, { T }) => take(T * weight.columns),
    readNow: ({ length }) => constant(length),
    ...ofSomeBases(take),
    rope() {},
    attention(_qkv, cuSeqlens, { T, H, d }) {
      const pairs = cuSeqlens.reduce((sum, end, s) => sum + (s > 0 ? (end - (cuSeqlens[s - 1] ?? 0)) ** 2 : 0), 0);
      // Every layer attends once: the last call counts.
      cellMs = cost.token * T + cost.pair * pairs;
      return { o_TQ: take(T * H * d), lse_TH: take(T * H) };
    },
    attentionBackward: ({ qkv_TX }) => take(qkv_TX.length),
    cachedAttention: (_qkv, _caches, _starts, _cuSeqlens, { T, H, d }) => take(T * H * d),
    promptAttention: (o) => take(o.length),
    promptAttentionBackward: (input, { H, G, d }) =>
      input.sets.map(({ rows: [first, end] }) => {
        return { dkv_KY: take((end - first) * 2 * G * d), dgate_H: take(H) };
      }),
    headLoss(_y, _head, _labels, { R, D, cells }) {
      cellsOfLoss(R, cells);
      cellMs += cost.label * R;
      return { nll_R: take(R), hit_R: take(R), ...(cells && { dy_RD: take(R * D) }) };
    },
    addFixedPoint: probe().available ? addNatively : addFixedPoint,
  };
  return engine;
}

/** Numbers of ordinary size: a gradient, a loss. One array serves all: nobody writes to what was read. */
function constant(length: number): Float32Array {
  if (numbers.length < length) numbers = new Float32Array(length).fill(1e-3);
  return numbers.subarray(0, length);
}

/** Products of groups of rows and delta nets, of the lengths that they have. */
function ofSomeBases(
  take: (length: number) => DeviceArray,
): Required<Pick<Engine, "groupedLinear" | "groupedLinearBackward" | keyof DeltaOperations>> {
  const rows = (bounds: Int32Array) => bounds.at(-1) ?? 0;
  return {
    groupedLinear: (_x, weight, bounds) => take((rows(bounds) * weight.rows) / (bounds.length - 1)),
    groupedLinearBackward: (_dy, weight, bounds) => take(rows(bounds) * weight.columns),
    deltaState: () => ({ capacity: 1 }),
    gatedDelta: (_input, _weights, _cuSeqlens, size) => take(size.T * deltaWidths(size).M),
    gatedDeltaBackward: ({ x_TC, gates_T2N }) => ({ dx_TC: take(x_TC.length), dgates_T2N: take(gates_T2N.length) }),
  };
}
