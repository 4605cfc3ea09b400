/** The texts of a scheduler: who waits, who is worked on, and when each comes and goes. */
import { DeadlineError } from "../errors.ts";
import type { DecoderModel } from "../model/decoder.ts";
import type { PromptCache } from "../model/prompt_cache.ts";
import { openFairQueue } from "./fair_queue.ts";
import { openPlaces, type Room } from "./places.ts";
import {
  answerLength,
  createText,
  nameOf,
  type OpenText,
  type ScheduledRequest,
  type Text,
  type TextEvent,
} from "./text.ts";

/** An event of the text of this number. */
export type NumberedEvent = TextEvent & { readonly text: number };

/** Texts that hold keys and values, and texts that wait for room. */
export interface Load {
  readonly running: number;
  readonly waiting: number;
}

/** All texts that have not ended. */
export interface Texts {
  /** Those that are worked on, the oldest first. */
  readonly running: readonly OpenText[];
  readonly load: Load;
  /** Takes in a text that waits, and returns its number. */
  add(request: ScheduledRequest): number;
  /** Has `drop` end a text. */
  cancel(number: number): void;
  /** Ends texts that nobody wants any longer, or not so late. */
  drop(): NumberedEvent[];
  /** Begins texts in the order of fairness while there is room. */
  admit(): Promise<NumberedEvent[]>;
  /** Takes keys and values from the texts that began last until those of the others fit; they go on later as if nothing had been. */
  preempt(): void;
  /** Counts tokens that a text was served. */
  charge(text: Text, tokens: number): void;
  /** Ends a text, and frees what it holds. */
  end(text: Text): void;
  /** Ends a text with an error. */
  fail(text: Text, error: unknown): NumberedEvent;
  /** Ends all of them. */
  close(): void;
}

/** Opens an empty set of texts over one model, whose adapters' prompts come from `cache`. */
export function openTexts(model: DecoderModel, cache: PromptCache, room: Room): Texts {
  const queue = openFairQueue<Text>();
  const places = openPlaces(model, cache, room);
  const texts = new Map<number, Text>();
  let count = 0;

  function end(text: Text, isKept = true): void {
    places.leave(text, isKept);
    queue.remove(text);
    queue.leave(text);
    texts.delete(text.number);
  }
  function fail(text: Text, error: unknown): NumberedEvent {
    end(text, false);
    return { text: text.number, error: error instanceof Error ? error : new Error(String(error)) };
  }
  function finish(text: Text, finishReason: "length" | "cancelled"): NumberedEvent {
    end(text);
    return { text: text.number, finishReason };
  }
  async function begin(text: Text): Promise<NumberedEvent[]> {
    queue.remove(text);
    if (answerLength(text) >= text.request.maxNewTokens && !text.promptScores) return [finish(text, "length")];
    return places.begin(text).then(
      () => [],
      (error: unknown) => [fail(text, error)],
    );
  }
  function nextText(): Text | undefined {
    const next = places.preempted[0] ?? queue.first();
    return next && places.hasRoom(next) ? next : undefined;
  }

  return {
    get running() {
      return places.running;
    },
    get load() {
      return { running: places.running.length, waiting: queue.length + places.preempted.length };
    },
    add(request) {
      const text = createText(count++, request);
      texts.set(text.number, text);
      queue.add(text);
      return text.number;
    },
    cancel(number) {
      const text = texts.get(number);
      if (text) text.isCancelled = true;
    },
    drop() {
      const now = performance.now();
      return Array.from(texts.values()).flatMap((text) => {
        const isLate = now > (text.request.deadline ?? Number.POSITIVE_INFINITY);
        if (isLate) return [fail(text, new DeadlineError(nameOf(text), answerLength(text)))];
        return text.isCancelled ? [finish(text, "cancelled")] : [];
      });
    },
    async admit() {
      const events: NumberedEvent[] = [];
      for (let next = nextText(); next; next = nextText()) events.push(...(await begin(next)));
      return events;
    },
    preempt: places.preempt,
    charge: queue.charge,
    end,
    fail,
    close() {
      Array.from(texts.values(), (text) => end(text, false));
      places.close();
    },
  };
}
