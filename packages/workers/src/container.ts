/** What a device lives in: a thread of this process (thread_container.ts) or a process of its own (process_container.ts). */
import type { DeviceApi } from "./device_api.ts";
import type { PulseReading } from "./pulse.ts";

export interface Container {
  /** Calls that may stay unanswered for ever when the container ends: race them against `ended`. */
  readonly api: DeviceApi;
  pulse(): PulseReading;
  /** Milliseconds that the device's thread has waited for a processor so far. */
  waitedMs(): number;
  /** Why it ended by itself. Never rejects. */
  readonly ended: Promise<unknown>;
  /** Ends it, whatever it is doing. */
  stop(): Promise<void>;
}

/** Begins to start a container; `ended` reports what goes wrong. */
export type StartContainer = (device: number) => Container;
