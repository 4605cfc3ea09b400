/**
 * Work that comes again and again alike, such as decoding a token, as a CUDA graph: hundreds of launches become one.
 *
 * `repeated` lets the work run, but what it would enqueue is noted: each call with its arguments, and host data apart. Calls that
 * were noted before are a graph already, made of exactly these calls, so only the data are new: they go into the graph's pinned
 * memory and the graph is launched. New calls are enqueued directly; when they come a second time they are captured.
 * Nobody has to say when a graph is still right: another address, size or number is another graph.
 */
import { memoryAt } from "@zerogate/ffi";
import type { Gpu } from "./gpu.ts";
import { CU } from "./native/numbers.ts";

/** Enqueues on the engine's stream, now or as a part of noted work. @param key distinguishes calls by all their arguments. */
export type Enqueue = (key: () => string, call: () => void) => void;

export interface Graphs {
  readonly enqueue: Enqueue;
  /** Whether calls are being noted; memory for them comes from a separate place, so that it has the same addresses each time. */
  isNoting(): boolean;
  /** Whether noted calls are being made into a graph. */
  isCapturing(): boolean;
  /** Notes a copy of host data; false if nothing is being noted. */
  upload(to: bigint, bytes: Uint8Array): boolean;
  /** Work that is done now, also while others are noted: weights at their first use. */
  aside<T>(work: () => T): T;
  /** @throws what `work` throws; nothing was enqueued then. */
  repeated<T>(work: () => T): T;
  close(): void;
}

interface Noted {
  readonly keys: string[];
  readonly steps: (Upload | (() => void))[];
}
interface Upload {
  readonly to: bigint;
  readonly bytes: Uint8Array;
}

/** What is known of calls that came before: the graph once there is one. */
interface Graph {
  readonly exec: bigint;
  /** Pinned; the graph copies from here. */
  readonly address: bigint;
  readonly data: Uint8Array;
  /** Recorded behind each launch: before it has passed the data are still being read. */
  readonly event: bigint;
}

/** Graphs that are kept; one serves a number of texts at once. */
const MOST_GRAPHS = 16;
const ALIGNMENT = 16;

/** @param uploadNow copies host data as any other work does. @param afterwards runs once noted work is enqueued. */
export function createGraphs(
  gpu: Gpu,
  { uploadNow, afterwards }: { uploadNow: (to: bigint, bytes: Uint8Array) => void; afterwards: () => void },
): Graphs {
  let noted: Noted | undefined;
  const graphs = createGraphCache(gpu, uploadNow);
  return {
    enqueue(key, call) {
      if (noted) {
        noted.keys.push(key());
        noted.steps.push(call);
      } else call();
    },
    isNoting: () => noted !== undefined,
    isCapturing: graphs.isCapturing,
    upload(to, bytes) {
      if (!noted) return false;
      noted.keys.push(`upload ${to} ${bytes.length}`);
      noted.steps.push({ to, bytes: bytes.slice() });
      return true;
    },
    aside(work) {
      const outer = noted;
      noted = undefined;
      try {
        return work();
      } finally {
        noted = outer;
      }
    },
    repeated(work) {
      if (noted) return work();
      const own: Noted = { keys: [], steps: [] };
      noted = own;
      try {
        const result = work();
        noted = undefined;
        graphs.run(own);
        return result;
      } finally {
        noted = undefined;
        afterwards();
      }
    },
    close: graphs.close,
  };
}

/** Enqueues noted work, as a graph from its second time on, and keeps the graphs used last. */
function createGraphCache(gpu: Gpu, uploadNow: (to: bigint, bytes: Uint8Array) => void) {
  const graphs = new Map<string, Graph | undefined>();
  let isCapturing = false;
  const captured = (work: Noted): Graph => {
    isCapturing = true;
    try {
      return capture(gpu, work);
    } finally {
      isCapturing = false;
    }
  };
  return {
    isCapturing: () => isCapturing,
    run(work: Noted): void {
      const key = work.keys.join("\n");
      const isKnown = graphs.has(key);
      let graph = graphs.get(key);
      if (!isKnown) {
        enqueueAll(work, ({ to, bytes }) => uploadNow(to, bytes));
      } else {
        graph ??= captured(work);
        gpu.call("wait for a graph", "cuEventSynchronize", graph.event);
        placed(work, (step, offset) => graph?.data.set(step.bytes, offset));
        gpu.call("run a graph", "cuGraphLaunch", graph.exec, gpu.stream);
        gpu.call("mark a graph", "cuEventRecord", graph.event, gpu.stream);
      }
      graphs.delete(key); // the one used last is the last to go
      graphs.set(key, graph);
      const [oldest] = graphs.keys();
      if (graphs.size > MOST_GRAPHS && oldest !== undefined) {
        drop(gpu, graphs.get(oldest));
        graphs.delete(oldest);
      }
    },
    close(): void {
      for (const graph of graphs.values()) drop(gpu, graph);
      graphs.clear();
    },
  };
}

function enqueueAll({ steps }: Noted, upload: (step: Upload) => void): void {
  for (const step of steps) {
    if (typeof step === "function") step();
    else upload(step);
  }
}

function capture(gpu: Gpu, work: Noted): Graph {
  const out = new BigUint64Array(8);
  const handle = (): bigint => out[0] ?? 0n;
  const bytes = Math.max(
    ALIGNMENT,
    placed(work, () => undefined),
  );
  gpu.call("pin memory", "cuMemHostAlloc", out, BigInt(bytes), CU.MEMHOSTALLOC_PORTABLE);
  const address = handle();
  gpu.call("make an event", "cuEventCreate", out, CU.EVENT_DISABLE_TIMING | CU.EVENT_BLOCKING_SYNC);
  const event = handle();
  const giveBack = () => {
    gpu.driver.calls.cuEventDestroy_v2(event);
    gpu.driver.calls.cuMemFreeHost(address);
  };
  // Thread-local: other workers may allocate meanwhile.
  gpu.call("begin a capture", "cuStreamBeginCapture_v2", gpu.stream, CU.STREAM_CAPTURE_MODE_THREAD_LOCAL);
  let at = 0;
  try {
    enqueueAll(work, ({ to, bytes: data }) => {
      const length = BigInt(data.length);
      gpu.call("copy to", "cuMemcpyHtoDAsync_v2", to, address + BigInt(at), length, gpu.stream);
      at += aligned(data.length);
    });
  } catch (error) {
    gpu.driver.calls.cuStreamEndCapture(gpu.stream, out); // or the stream would go on recording
    giveBack();
    throw error;
  }
  gpu.call("end a capture", "cuStreamEndCapture", gpu.stream, out);
  const graph = handle();
  gpu.call("prepare a graph", "cuGraphInstantiateWithFlags", out, graph, 0n);
  const exec = handle();
  gpu.call("free a graph", "cuGraphDestroy", graph);
  return { exec, address, data: new Uint8Array(memoryAt(address, bytes)), event };
}

function drop(gpu: Gpu, graph: Graph | undefined): void {
  if (!graph) return;
  gpu.call("wait for a graph", "cuEventSynchronize", graph.event);
  gpu.call("free a graph", "cuGraphExecDestroy", graph.exec);
  gpu.call("free an event", "cuEventDestroy_v2", graph.event);
  gpu.call("free pinned memory", "cuMemFreeHost", graph.address);
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Finds for each upload where it lies in the graph's data; returns the bytes of all. */
function placed({ steps }: Noted, each: (step: Upload, offset: number) => void): number {
  let offset = 0;
  for (const step of steps) {
    if (typeof step === "function") continue;
    each(step, offset);
    offset += aligned(step.bytes.length);
  }
  return offset;
}
