/**
 * Copies between host and device, through pinned memory: of other memory the driver may wait for the stream first. Large ones go
 * through two buffers in turn, so that one is filled while the other is read; small ones one behind the other through two more.
 */
import { memoryAt } from "@zerogate/ffi";
import type { Gpu } from "./gpu.ts";
import { CU } from "./native/numbers.ts";

export interface Staging {
  /** Enqueues a copy; `bytes` may be changed as soon as this returns. */
  upload(to: bigint, bytes: Uint8Array): void;
  /** Waits for all work before it, then fills `bytes`. */
  download(bytes: Uint8Array, from: bigint): void;
  /** Enqueues a copy, and fills `bytes` before it resolves. Copies that are asked for without a wait between them wait once. */
  read(bytes: Uint8Array, from: bigint): Promise<void>;
  close(): void;
}

const BUFFER_BYTES = 8 << 20;
/** Largest copy that shares a buffer with others. */
const SMALL_BYTES = 1 << 20;
const ALIGNMENT = 256;

interface PinnedBytes {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}
interface PinnedBuffer extends PinnedBytes {
  readonly event: bigint;
}

function pin(gpu: Gpu): PinnedBytes {
  const out = new BigUint64Array(8);
  gpu.call("pin memory", "cuMemHostAlloc", out, BigInt(BUFFER_BYTES), CU.MEMHOSTALLOC_PORTABLE);
  const [address = 0n] = out;
  return { address, bytes: new Uint8Array(memoryAt(address, BUFFER_BYTES)) };
}

/** @param note takes an upload for later and says so, if work is being noted (graphs.ts). */
export function createStaging(gpu: Gpu, note: (to: bigint, bytes: Uint8Array) => boolean): Staging {
  const [large, shared] = [createTurns(gpu), createTurns(gpu)];
  let [filling, filled]: [PinnedBuffer | undefined, number] = [undefined, 0];

  /** Copies behind what the buffer has already, or to the beginning of the other one, once nothing reads that any more. */
  function uploadSmall(to: bigint, bytes: Uint8Array): void {
    if (!filling || filled + bytes.length > BUFFER_BYTES) {
      if (filling) gpu.call("mark a copy", "cuEventRecord", filling.event, gpu.stream);
      [filling, filled] = [shared.next(), 0];
    }
    filling.bytes.set(bytes, filled);
    const from = filling.address + BigInt(filled);
    gpu.call("copy to", "cuMemcpyHtoDAsync_v2", to, from, BigInt(bytes.length), gpu.stream);
    filled += Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
  }

  const reads = createReads(gpu);
  const staging: Staging = {
    async read(bytes, from) {
      if (bytes.length > BUFFER_BYTES) staging.download(bytes, from);
      else await reads.read(bytes, from);
    },
    upload(to, bytes) {
      if (note(to, bytes)) return;
      if (bytes.length <= SMALL_BYTES) return uploadSmall(to, bytes);
      for (let from = 0; from < bytes.length; from += BUFFER_BYTES) {
        const part = bytes.subarray(from, from + BUFFER_BYTES);
        const buffer = large.next();
        buffer.bytes.set(part);
        const length = BigInt(part.length);
        gpu.call("copy to", "cuMemcpyHtoDAsync_v2", to + BigInt(from), buffer.address, length, gpu.stream);
        gpu.call("mark a copy", "cuEventRecord", buffer.event, gpu.stream);
      }
    },
    download(bytes, from) {
      for (let at = 0; at < bytes.length; at += BUFFER_BYTES) {
        const part = bytes.subarray(at, at + BUFFER_BYTES);
        const buffer = large.next();
        const source = from + BigInt(at);
        gpu.call("copy from", "cuMemcpyDtoHAsync_v2", buffer.address, source, BigInt(part.length), gpu.stream);
        gpu.synchronize("finish the work");
        part.set(buffer.bytes.subarray(0, part.length));
      }
    },
    close() {
      large.close();
      shared.close();
      reads.close();
    },
  };
  return staging;
}

/** Copies to the host behind each other in pinned buffers, which are emptied all at once. */
function createReads(gpu: Gpu) {
  const free: PinnedBytes[] = [];
  const filling: { buffer: PinnedBytes; filled: number }[] = [];
  let asked: { readonly to: Uint8Array; readonly from: Uint8Array }[] = [];
  let emptied: Promise<void> | undefined;

  function place(length: number): { buffer: PinnedBytes; filled: number } {
    const last = filling.at(-1);
    if (last && last.filled + length <= BUFFER_BYTES) return last;
    const next = { buffer: free.pop() ?? pin(gpu), filled: 0 };
    filling.push(next);
    return next;
  }

  function empty(): void {
    const copies = asked;
    [asked, emptied] = [[], undefined];
    free.push(...filling.splice(0).map(({ buffer }) => buffer));
    gpu.synchronize("finish the work");
    for (const { to, from } of copies) to.set(from);
  }

  return {
    read(bytes: Uint8Array, from: bigint): Promise<void> {
      const at = place(bytes.length);
      const { address, bytes: pinned } = at.buffer;
      const length = BigInt(bytes.length);
      gpu.call("copy from", "cuMemcpyDtoHAsync_v2", address + BigInt(at.filled), from, length, gpu.stream);
      asked.push({ to: bytes, from: pinned.subarray(at.filled, at.filled + bytes.length) });
      at.filled += Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
      // Behind what the caller still asks for before it waits.
      emptied ??= Promise.resolve().then(empty);
      return emptied;
    },
    close(): void {
      for (const { address } of free.splice(0)) gpu.call("free pinned memory", "cuMemFreeHost", address);
    },
  };
}

/** Two pinned buffers that are used in turn. */
function createTurns(gpu: Gpu) {
  const buffers: PinnedBuffer[] = [];
  let turn = 0;
  function open(): PinnedBuffer {
    const [pinned, event] = [pin(gpu), new BigUint64Array(8)];
    // Who waits for it gives the processor away; the flag of the context is for other waits.
    gpu.call("make an event", "cuEventCreate", event, CU.EVENT_DISABLE_TIMING | CU.EVENT_BLOCKING_SYNC);
    return { ...pinned, event: event[0] ?? 0n };
  }
  return {
    /** Returns the one that was used longest ago, once nothing reads it any more. */
    next(): PinnedBuffer {
      const index = turn++ % 2;
      const used = buffers[index];
      if (used) gpu.call("wait for a copy", "cuEventSynchronize", used.event);
      buffers[index] ??= open();
      return buffers[index];
    },
    close(): void {
      for (const { address, event } of buffers.splice(0)) {
        gpu.call("free an event", "cuEventDestroy_v2", event);
        gpu.call("free pinned memory", "cuMemFreeHost", address);
      }
    },
  };
}
