/**
 * A device's sign of life, in memory that it shares with the coordinator: a count that grows with every operation of the
 * engine, and the operation's name. It can be read while the thread is stuck in native code, and costs a few nanoseconds.
 */
import { readlinkSync } from "node:fs";
import type { Engine } from "@zerogate/core/engine";

/** Plain data over shared memory. */
export interface Pulse {
  /** Operations begun so far; the operating system's number of the thread, 0 if it is not known. */
  readonly counts: Int32Array;
  /** Name of the last operation, ASCII, zeros behind it. */
  readonly name: Uint8Array;
}

/** What a pulse said when it was read. */
export interface PulseReading {
  readonly beats: number;
  readonly operation: string;
  readonly thread: number;
}

const NAME_BYTES = 48;

/** Makes one that has not beaten yet. */
export function createPulse(): Pulse {
  return {
    counts: new Int32Array(new SharedArrayBuffer(8)),
    name: new Uint8Array(new SharedArrayBuffer(NAME_BYTES)),
  };
}

/** Returns what it says now. */
export function readPulse({ counts, name }: Pulse): PulseReading {
  const text = String.fromCharCode(...name);
  const end = text.indexOf("\0");
  return {
    beats: Atomics.load(counts, 0),
    operation: end === -1 ? text : text.slice(0, end),
    thread: Atomics.load(counts, 1),
  };
}

/** Writes down which thread the pulse is of; called by that thread. */
export function signPulse({ counts }: Pulse): void {
  try {
    Atomics.store(counts, 1, Number(readlinkSync("/proc/thread-self").split("/").at(-1)));
  } catch {
    // not Linux: then nobody knows how long the thread waited for a processor
  }
}

/** Makes the function that says that an operation of this name begins. */
export function beatOf({ counts, name }: Pulse, operation: string): () => void {
  const bytes = new Uint8Array(NAME_BYTES);
  new TextEncoder().encodeInto(operation, bytes);
  return () => {
    name.set(bytes);
    Atomics.add(counts, 0, 1);
  };
}

/** The same engine, which beats before every call. */
export function beatingEngine(engine: Engine, pulse: Pulse): Engine {
  const calls = new Map<PropertyKey, unknown>();
  return new Proxy(engine, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      let call = calls.get(name);
      if (!call) {
        const beat = beatOf(pulse, String(name));
        call = (...args: unknown[]): unknown => {
          beat();
          return Reflect.apply(member, target, args);
        };
        calls.set(name, call);
      }
      return call;
    },
  });
}
