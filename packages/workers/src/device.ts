/**
 * One device, seen from the coordinator, in whichever container it lives: every call ends with an answer, with the container's death,
 * or because the device shows no sign of life. A device dies once; whoever wants another starts another.
 */
import { DeviceDiedError, isZerogateError } from "@zerogate/core";
import type { Container } from "./container.ts";
import type { DeviceApi } from "./device_api.ts";
import { type Patience, watch } from "./patience.ts";

export interface Device {
  /** Makes one call at a time. Rejects with what the worker threw, or with a DeviceDiedError as soon as it is lost. */
  call<R>(operation: string, make: (api: DeviceApi) => Promise<R>): Promise<R>;
  /** Ends the container, also in the middle of a call (which then rejects). */
  close(): Promise<void>;
}

/** Takes over a container; `onDeath` is called at most once, unless `close` came first. */
export function openDevice(
  index: number,
  container: Container,
  patience: Patience,
  onDeath: (error: DeviceDiedError) => void,
): Device {
  // A plain Promise.race against `ended` would keep every finished call in memory for as long as the container lives.
  const pending = new Set<(reason: Error) => void>();
  let operation = "start";
  let beatsBefore = 0;
  let finishedCalls = 0;
  let ended: Error | undefined;

  const lastOperation = () => {
    const { beats, operation: name } = container.pulse();
    return beats > beatsBefore ? `${operation}, ${name} (operation ${beats - beatsBefore})` : operation;
  };
  const end = (error: Error) => {
    ended = error;
    for (const fail of pending) fail(error);
  };
  const die = (cause: unknown) => {
    if (ended) return;
    const error = new DeviceDiedError(index, lastOperation(), cause);
    end(error);
    onDeath(error);
  };
  void container.ended.then(die);

  return {
    call<R>(name: string, make: (api: DeviceApi) => Promise<R>) {
      if (ended) return Promise.reject(ended);
      operation = name;
      beatsBefore = container.pulse().beats;
      const begin = performance.now();
      return new Promise<R>((resolve, reject) => {
        const endWatch = watch({
          beats: () => container.pulse().beats,
          waitedMs: container.waitedMs,
          limit: () => patience.limit(finishedCalls),
          onSilence(silentMs) {
            patience.grow();
            die(`no sign of life for ${(silentMs / 1000).toFixed(1)} s`);
          },
        });
        const finish = () => {
          endWatch();
          pending.delete(fail);
        };
        const fail = (reason: Error) => {
          finish();
          reject(reason);
        };
        const succeed = (result: R) => {
          if (finishedCalls > 0) patience.learn(performance.now() - begin); // the first one is `load`
          finishedCalls++;
          finish();
          resolve(result);
        };
        pending.add(fail);
        make(container.api).then(succeed, (reason: Error) =>
          isZerogateError(reason, "engine-lost") ? die(reason) : fail(reason),
        );
      });
    },
    async close() {
      if (!ended) end(new Error(`Cannot finish ${operation}: worker ${index} was closed`));
      await container.stop();
    },
  };
}
