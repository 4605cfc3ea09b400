/** Questions to a worker that wait for their answers. */

/** Calls by number. */
export interface Calls {
  readonly size: number;
  /** Makes a call: `send` gets its number. */
  make(send: (call: number) => void): Promise<void>;
  /** Ends a call, with an error if there is one. */
  settle(call: number, error?: Error): void;
  /** Ends all of them with an error. */
  fail(error: Error): void;
}

/** Opens an empty list of calls. */
export function openCalls(): Calls {
  const calls = new Map<number, { resolve(): void; reject(error: Error): void }>();
  let count = 0;
  return {
    get size() {
      return calls.size;
    },
    make(send) {
      const call = count++;
      return new Promise((resolve, reject) => {
        calls.set(call, { resolve, reject });
        send(call);
      });
    },
    settle(call, error) {
      const own = calls.get(call);
      calls.delete(call);
      if (error) own?.reject(error);
      else own?.resolve();
    },
    fail(error) {
      for (const { reject } of calls.values()) reject(error);
      calls.clear();
    },
  };
}
