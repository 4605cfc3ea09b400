/** Copies between host and device. Large ones go through two pinned buffers in turn, so that one is filled while the other is read. */
import { memoryAt } from "@zerogate/ffi";
import type { Gpu } from "./gpu.ts";
import { CU } from "./native/numbers.ts";

export interface Staging {
  /** Enqueues a copy; `bytes` may be changed as soon as this returns. */
  upload(to: bigint, bytes: Uint8Array): void;
  /** Waits for all work before it, then fills `bytes`. */
  download(bytes: Uint8Array, from: bigint): void;
  close(): void;
}

const BUFFER_BYTES = 8 << 20;
/** The driver copies what is small and not pinned to buffers of its own before it returns. */
const SMALL_BYTES = 64 << 10;

interface PinnedBuffer {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly event: bigint;
}

/** @param note takes an upload for later and says so, where work is being noted (graphs.ts). */
export function createStaging(gpu: Gpu, note: (to: bigint, bytes: Uint8Array) => boolean): Staging {
  const buffers: PinnedBuffer[] = [];
  let turn = 0;

  /** The buffer that was used longest ago, once nothing reads it any more. */
  function next(): PinnedBuffer {
    const index = turn++ % 2;
    const used = buffers[index];
    if (used) gpu.call("wait for a copy", "cuEventSynchronize", used.event);
    buffers[index] ??= open();
    return buffers[index];
  }
  function open(): PinnedBuffer {
    const [address, event] = [new BigUint64Array(8), new BigUint64Array(8)];
    gpu.call("pin memory", "cuMemHostAlloc", address, BigInt(BUFFER_BYTES), CU.MEMHOSTALLOC_PORTABLE);
    gpu.call("make an event", "cuEventCreate", event, 0);
    const [at = 0n] = address;
    return { address: at, bytes: new Uint8Array(memoryAt(at, BUFFER_BYTES)), event: event[0] ?? 0n };
  }

  return {
    upload(to, bytes) {
      if (note(to, bytes)) return;
      if (bytes.length <= SMALL_BYTES) {
        gpu.call("copy to", "cuMemcpyHtoDAsync_v2", to, bytes, BigInt(bytes.length), gpu.stream);
        return;
      }
      for (let from = 0; from < bytes.length; from += BUFFER_BYTES) {
        const part = bytes.subarray(from, from + BUFFER_BYTES);
        const buffer = next();
        buffer.bytes.set(part);
        const length = BigInt(part.length);
        gpu.call("copy to", "cuMemcpyHtoDAsync_v2", to + BigInt(from), buffer.address, length, gpu.stream);
        gpu.call("mark a copy", "cuEventRecord", buffer.event, gpu.stream);
      }
    },
    download(bytes, from) {
      for (let at = 0; at < bytes.length; at += BUFFER_BYTES) {
        const part = bytes.subarray(at, at + BUFFER_BYTES);
        const buffer = next();
        const source = from + BigInt(at);
        gpu.call("copy from", "cuMemcpyDtoHAsync_v2", buffer.address, source, BigInt(part.length), gpu.stream);
        gpu.synchronize("finish the work");
        part.set(buffer.bytes.subarray(0, part.length));
      }
    },
    close() {
      for (const { address, event } of buffers.splice(0)) {
        gpu.call("free an event", "cuEventDestroy_v2", event);
        gpu.call("free pinned memory", "cuMemFreeHost", address);
      }
    },
  };
}
