/**
 * Texts that come and go at any token, round by round. A round appends one token to every text that is being answered, in one
 * pass, and what is left of `passTokens` to prompts, the oldest first, in another: so a long prompt delays nobody by more than a
 * pass, and each row is summed in the order that it has alone.
 *
 *   waiting → prompt, in chunks → answer, token by token → ended
 */
import type { DecoderModel } from "../model/decoder.ts";
import type { PromptCache } from "../model/prompt_cache.ts";
import type { Room } from "./places.ts";
import { appendTokens } from "./sequence.ts";
import { type NextRows, nextRows, type OpenText, type ScheduledRequest, type TextEvent, takeResult } from "./text.ts";
import { type Load, type NumberedEvent, openTexts } from "./texts.ts";

/** How rounds are made. */
export interface RoundOptions extends Room {
  /** Rows of a round: one of each text that is being answered, and what is left for prompts. */
  readonly passTokens: number;
}

/** Texts that are worked on together. */
export interface Rounds {
  /** Takes in a text, and returns its number. */
  add(request: ScheduledRequest): number;
  /** Ends a text at the next round; does nothing once it has ended. */
  cancel(text: number): void;
  readonly load: Load;
  /** Runs one round, and returns what came of it, text by text. */
  run(): Promise<NumberedEvent[]>;
  /** Ends all texts without an event, and frees what they hold. Not while a round runs. */
  close(): void;
}

/** What a text appends in this round. */
interface Step {
  readonly text: OpenText;
  readonly next: NextRows;
}

/** What a token of a prompt counts of one of an answer, where time is shared: many go through one pass. */
const PROMPT_SHARE = 1 / 4;
/** Rows that prompts get at the least, however many texts are being answered. */
const LEAST_PROMPT_ROWS = 16;

/** Opens an empty set of texts over one model, whose adapters' prompts come from `cache`. */
export function openRounds(model: DecoderModel, cache: PromptCache, { passTokens, ...room }: RoundOptions): Rounds {
  const texts = openTexts(model, cache, room);

  /** Runs one pass over the rows of one order. If it throws, its texts fail, and no others. */
  async function pass(order: NextRows["order"], planned: readonly Step[]): Promise<NumberedEvent[]> {
    const steps = neighboursAlike(planned.filter(({ next }) => next.order === order));
    if (steps.length === 0) return [];
    const appended = steps.map(({ next }) => next);
    const results = await appendTokens(model, appended, order).catch((error: unknown) => ({ error }));
    if ("error" in results) return steps.map(({ text }) => texts.fail(text, results.error));
    return steps.flatMap(({ text, next }, i) => {
      texts.charge(text, next.ids.length * (order === "packed" ? PROMPT_SHARE : 1));
      const events = takeResult(model, text, results[i]);
      if (events.some(isLast)) texts.end(text);
      return events.map((event) => ({ ...event, text: text.number }));
    });
  }

  return {
    add: texts.add,
    cancel: texts.cancel,
    close: texts.close,
    get load() {
      return texts.load;
    },
    async run() {
      const before = texts.drop();
      texts.preempt();
      before.push(...(await texts.admit()));
      const steps = plan(model, texts.running, passTokens);
      return [...before, ...(await pass("alone", steps)), ...(await pass("packed", steps))];
    },
  };
}

/** Whether nothing comes after it. */
export function isLast(event: TextEvent): boolean {
  return "finishReason" in event || "error" in event;
}

/** Says what a round appends: a token to each text that is being answered, then the rest, the oldest first. */
function plan(model: DecoderModel, running: readonly OpenText[], passTokens: number): Step[] {
  const ones = running.map((text): Step => ({ text, next: nextRows(model, text, 1) }));
  const answered = ones.filter(({ next }) => next.order === "alone" && next.isRead);
  let left = Math.max(passTokens - answered.length, Math.min(passTokens, LEAST_PROMPT_ROWS));
  const begun = ones.flatMap((one): Step[] => {
    if (left <= 0 || answered.includes(one)) return [];
    const next = nextRows(model, one.text, left);
    left -= next.ids.length;
    return [{ text: one.text, next }];
  });
  return [...answered, ...begun];
}

/** Texts of one adapter side by side: then its prompts are attended to once a layer. */
function neighboursAlike(steps: readonly Step[]): Step[] {
  const adapters = [...new Set(steps.map(({ next }) => next.sequence.adapted?.prompts))];
  const place = ({ next }: Step) => adapters.indexOf(next.sequence.adapted?.prompts);
  return steps.toSorted((a, b) => place(a) - place(b));
}
