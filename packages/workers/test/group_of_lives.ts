/** A group of workers on containers of the test's own: each answers, throws, hangs and ends when the test says so. */
import { setImmediate as turn } from "node:timers/promises";
import type { Container } from "../src/container.ts";
import type { Deal } from "../src/deal.ts";
import type { DeviceSetup } from "../src/device_api.ts";
import type { DeviceEvent } from "../src/device_event.ts";
import { DeviceGroup } from "../src/device_group.ts";

export interface Life extends Container {
  readonly device: number;
  isStopped: boolean;
  /** Ends it, as a crash does. */
  end(reason: string): void;
  /** Answers the call that it is at. */
  answer(error?: Error): void;
  isAtWork(): boolean;
}

const patience = { limit: () => Number.POSITIVE_INFINITY, learn() {}, grow() {} };

/** A group whose containers load as `load` says: at once, never, or with an error; `lives` are all containers so far. */
export function open(size: number, load: (device: number, life: number) => "load" | "hang" | Error = () => "load") {
  const lives: Life[] = [];
  const events: DeviceEvent[] = [];
  const started = Array.from({ length: size }, () => 0);
  const group = new DeviceGroup(
    size,
    {} as DeviceSetup,
    (device) => {
      const how = load(device, (started[device] = (started[device] ?? 0) + 1));
      const life = startLife(device, how);
      lives.push(life);
      return life;
    },
    patience,
    (event) => void events.push(event),
  );
  const newest = (device: number) => lives.findLast((life) => life.device === device) as Life;
  return { group, lives, events, newest };
}

function startLife(device: number, how: "load" | "hang" | Error): Life {
  let end: (reason: unknown) => void = () => {};
  let waiting: { resolve(): void; reject(error: Error): void } | undefined;
  const work = () =>
    new Promise<never>((resolve, reject) => {
      waiting = { resolve: () => resolve(undefined as never), reject };
    });
  const load = () =>
    how === "load"
      ? Promise.resolve({ engineName: `engine ${device}` })
      : how === "hang"
        ? new Promise<never>(() => {})
        : Promise.reject(how);
  const life: Life = {
    device,
    isStopped: false,
    api: { load, computeCell: work, evaluateCell: work, scoreCell: work, generate: work },
    pulse: () => ({ beats: 0, operation: "", thread: 0 }),
    waitedMs: () => 0,
    ended: new Promise((resolve) => (end = resolve)),
    async stop() {
      await turn(); // as an end of a thread does, it takes a while
      life.isStopped = true;
    },
    end: (reason) => end(new Error(reason)),
    answer(error) {
      const { resolve = () => {}, reject = () => {} } = waiting ?? {};
      waiting = undefined;
      if (error) reject(error);
      else resolve();
    },
    isAtWork: () => waiting !== undefined,
  };
  return life;
}

export const settle = async () => {
  for (let i = 0; i < 5; i++) await turn();
};

/** A deal of the tasks of these numbers, and who was given which, in order. */
export function dealOf(numbers: number[], onLost?: Deal["onLost"]) {
  const given: string[] = [];
  const deal: Deal = {
    name: "step 3",
    tasks: numbers.map((number) => ({ of: "step 3", number, samples: [10 * number] })),
    async run(at, device, index) {
      given.push(`${numbers[at]} to ${index}`);
      await device.call(`task ${numbers[at]}`, (api) => api.computeCell({} as never));
    },
    ...(onLost && { onLost }),
  };
  return { deal, given };
}

export const died = (events: readonly DeviceEvent[]) =>
  events.flatMap((event) =>
    event.type === "worker-died" ? [`${event.device} ${event.reason} ${event.restarts}`] : [],
  );
