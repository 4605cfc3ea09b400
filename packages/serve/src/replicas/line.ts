/** Texts that wait for a worker: those that were begun first, in their order, then the others in the order of fairness. */
import { openFairQueue } from "@zerogate/core";
import { type PoolText, PROMPT_SHARE } from "./pool_text.ts";

/** A line of texts. */
export interface Line {
  readonly length: number;
  /** Takes in a new text. */
  add(text: PoolText): void;
  /** Takes in a text that was begun. */
  giveBack(text: PoolText): void;
  /** Whose turn it is, without taking it out. */
  first(): PoolText | undefined;
  /** Takes out a text that begins or goes on. */
  take(text: PoolText): void;
  /** Takes out a text that is to wait elsewhere. */
  remove(text: PoolText): void;
  /** Counts a token that a text was served. */
  charge(text: PoolText): void;
  /** Says that a text is done. */
  leave(text: PoolText): void;
}

/** Opens an empty line. */
export function openLine(): Line {
  const queue = openFairQueue<PoolText>();
  let begun: PoolText[] = [];

  function remove(text: PoolText): void {
    queue.remove(text);
    begun = begun.filter((other) => other !== text);
  }

  return {
    get length() {
      return queue.length + begun.length;
    },
    add: queue.add,
    giveBack(text) {
      begun = [...begun, text].toSorted((a, b) => a.number - b.number);
    },
    first: () => begun[0] ?? queue.first(),
    take(text) {
      remove(text);
      if (!text.isCharged) queue.charge(text, PROMPT_SHARE * text.request.promptIds.length);
      text.isCharged = true;
    },
    remove,
    charge: (text) => queue.charge(text, 1),
    leave(text) {
      remove(text);
      queue.leave(text);
    },
  };
}
