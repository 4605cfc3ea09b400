/** Events of one text on their way to its reader, who may be slower than they come. */
import { isLast } from "./rounds.ts";
import type { TextEvent } from "./text.ts";

type ReadEvent = Exclude<TextEvent, { readonly error: Error }>;

/** Events in their order, until the last one. */
export interface Mailbox {
  put(event: TextEvent): void;
  /** Yields the events to one reader, and throws an error; `leave` is called if that one stops before the last. */
  read(leave: () => void): AsyncGenerator<ReadEvent, void, void>;
}

/** Opens an empty one. */
export function openMailbox(): Mailbox {
  const events: TextEvent[] = [];
  let notify: (() => void) | undefined;

  return {
    put(event) {
      events.push(event);
      notify?.();
    },
    async *read(leave) {
      let isOver = false;
      try {
        while (!isOver) {
          const event = events.shift();
          if (!event) {
            await new Promise<void>((resolve) => (notify = resolve));
            continue;
          }
          isOver = isLast(event);
          if ("error" in event) throw event.error;
          yield event;
        }
      } finally {
        if (!isOver) leave();
      }
    },
  };
}
