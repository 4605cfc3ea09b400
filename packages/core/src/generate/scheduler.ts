/** An open queue of texts on one model: submitted, streamed and cancelled at any time, each with the tokens that it gets alone. */
import { InputError, QueueFullError } from "../errors.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { openPromptCache, type PromptCache } from "../model/prompt_cache.ts";
import { openMailbox } from "./mailbox.ts";
import { problemsOf } from "./requests.ts";
import { isLast, openRounds } from "./rounds.ts";
import { capacityOf, type ScheduledRequest, type TextEvent } from "./text.ts";

/** How the texts of a scheduler share the model. */
export interface SchedulerOptions {
  /** Texts that are worked on at the same time; each holds keys and values. @default 16 */
  readonly maxRunning?: number;
  /** Texts that may wait beside those; a further one is refused. @default 64 */
  readonly maxWaiting?: number;
  /** Rows of a round: one of each text that is being answered, and what is left for prompts. @default 256 */
  readonly passTokens?: number;
  /**
   * Tokens whose keys and values are held at the most: a text waits until its prompt and the first 64 tokens of its answer fit, and if
   * those of others grow beyond, the text that began last waits again and is made again later, with the same tokens. @default no limit
   */
  readonly kvTokens?: number;
  /** Texts that have ended whose prompts' keys and values are kept for one that begins alike; the oldest go first. @default 16 */
  readonly keptTexts?: number;
  /** Where prompts of adapters are kept; `close` leaves it open. @default a cache of its own */
  readonly prompts?: PromptCache;
}

/** A token of a text, or why it ended; an error is thrown. */
export type SubmittedEvent = Exclude<TextEvent, { readonly error: Error }>;

/** A text that was submitted. Its events are read once; to stop reading them cancels it. */
export interface SubmittedText extends AsyncIterable<SubmittedEvent> {
  /** The texts of a scheduler are counted from 0. */
  readonly number: number;
  /** Ends the text before its next token, with `cancelled`. */
  cancel(): void;
}

/** Texts on one model that come and go at any time. */
export interface Scheduler {
  /**
   * Adds a text to the queue.
   * @throws InputError for a request that can never be answered, QueueFullError if too many wait.
   */
  submit(request: ScheduledRequest): SubmittedText;
  /** Texts that hold keys and values, and texts that wait for room. */
  readonly load: { readonly running: number; readonly waiting: number };
  /** Cancels all texts, and frees what they hold. */
  close(): Promise<void>;
}

/**
 * Opens a scheduler on a model. Texts share passes, so many are answered in little more time than one, and each has the tokens that it
 * gets alone. Close it: it holds memory of the engine.
 *
 * @example
 * const scheduler = openScheduler(model, { maxRunning: 8 });
 * const text = scheduler.submit({ promptIds: [1, 15, 8], adapter, maxNewTokens: 4 });
 * for await (const event of text) if ("id" in event) console.log(event.id);
 * await scheduler.close();
 */
export function openScheduler(model: DecoderModel, options: SchedulerOptions = {}): Scheduler {
  const { maxRunning = 16, maxWaiting = 64, passTokens = 256, keptTexts = 16, prompts } = options;
  const { kvTokens = Number.POSITIVE_INFINITY } = options;
  const cache = prompts ?? openPromptCache(model);
  const rounds = openRounds(model, cache, { maxRunning, passTokens, kvTokens, keptTexts });
  const mailboxes = new Map<number, ReturnType<typeof openMailbox>>();
  let work: Promise<void> | undefined;
  let isClosed = false;

  /** Runs rounds until no text is left. */
  async function run(): Promise<void> {
    await nextTask(); // texts that are submitted together begin together
    while (rounds.load.running + rounds.load.waiting > 0) {
      for (const { text, ...event } of await rounds.run()) {
        mailboxes.get(text)?.put(event);
        if (isLast(event)) mailboxes.delete(text);
      }
      await nextTask();
    }
    work = undefined;
  }

  return {
    submit(request) {
      if (isClosed) throw new RangeError("Cannot submit a text: the scheduler is closed");
      const problems = [...problemsOf(request, model.config), ...wrongTokens(request, model)];
      const needed = capacityOf(model, request);
      if (needed > kvTokens) problems.push(`it may hold ${needed} tokens, the scheduler ${kvTokens}: ask for fewer`);
      if (problems.length > 0) throw new InputError("Cannot submit a text", problems);
      const { waiting, running } = rounds.load;
      if (waiting - (maxRunning - running) >= maxWaiting) {
        const found = `${running} texts are worked on and ${waiting} wait`;
        throw new QueueFullError(`Cannot submit a text: ${found}, submit it again when some have ended`);
      }
      const number = rounds.add(request);
      const mailbox = openMailbox();
      mailboxes.set(number, mailbox);
      work ??= run();
      const cancel = () => rounds.cancel(number);
      return { number, cancel, [Symbol.asyncIterator]: () => mailbox.read(cancel) };
    },
    get load() {
      return rounds.load;
    },
    async close() {
      isClosed = true;
      for (const number of mailboxes.keys()) rounds.cancel(number);
      await work;
      rounds.close();
      if (!prompts) cache.close();
    },
  };
}

/** Tokens that the base does not have: one of them would fail a pass for all. */
function wrongTokens({ promptIds, answerIds = [] }: ScheduledRequest, { config }: DecoderModel): string[] {
  const wrong = [...promptIds, ...answerIds].find((id) => !(Number.isInteger(id) && id >= 0 && id < config.vocabSize));
  return wrong === undefined ? [] : [`token ${wrong} is none of the ${config.vocabSize} that the base has`];
}

/** Lets timers, messages and readers run: an engine may compute in this thread. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const listener = () => {
      port1.close();
      resolve();
    };
    port1.addEventListener("message", listener);
    port1.start();
    port2.postMessage(undefined);
  });
}
