/**
 * Several workers behind one line of texts. A text goes to the worker that is likely to hold the keys and values of its beginning, else
 * to the one with the least to do. If a worker ends by itself, its texts go on elsewhere, or on the one that takes its place, with the
 * tokens that they would have had.
 */
import { DeadlineError, QueueFullError } from "@zerogate/core";
import { decodeError } from "@zerogate/core/training";
import type { TextReport } from "../worker/messages.ts";
import { type Crew, type CrewEvent, openCrew } from "./crew.ts";
import { openLine } from "./line.ts";
import { type PoolAdapter, type PoolText, type Submission, type TextEnd, workLeft } from "./pool_text.ts";
import type { Replica, ReplicaOptions } from "./replica.ts";
import { openSpeed } from "./speed.ts";

/** How many texts there may be, and who answers them. */
export interface PoolOptions extends ReplicaOptions {
  readonly workers: number;
  /** Texts that one worker answers at the same time. */
  readonly maxRunning: number;
  /** Texts that wait beside those. */
  readonly maxWaiting: number;
  /** Receives what happens to workers. */
  readonly onEvent: (event: CrewEvent) => void;
}

/** What can be done with a text that was submitted. */
export interface PooledText {
  /** Ends it without a further call of its sink. */
  cancel(): void;
  /** Stops work on it until `resume`, which changes nothing in its answer. */
  pause(): void;
  resume(): void;
}

/** A text that was with two workers when they ended is not given to a third. */
const MAX_DEATHS = 2;
/** The longest that anybody is asked to wait. */
const MAX_SECONDS = 60;

/** Workers and the texts that they answer. */
export class TextPool {
  readonly #options: PoolOptions;
  readonly #crew: Crew;
  readonly #line = openLine();
  readonly #speed = openSpeed();
  readonly #texts = new Set<PoolText>();
  #numbers = 0;
  #waitForIdle: (() => void)[] = [];

  /** Starts the workers. */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.#crew = openCrew(options.workers, options, {
      onReport: (text, report) => this.#take(text, report),
      onReturn: (texts, reason) => this.#takeBack(texts, reason),
      onRoom: () => this.#dispatch(),
      onEvent: (event) => {
        options.onEvent(event);
        if (event.type === "pool-lost") for (const text of this.#texts) this.#end(text, { error: event.reason });
      },
    });
  }

  /** Resolves once all workers can answer. Rejects if one cannot be started. */
  get ready(): Promise<unknown> {
    return this.#crew.ready;
  }
  get workers(): readonly Replica[] {
    return this.#crew.replicas;
  }
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.workers.reduce((sum, { size }) => sum + size, 0), waiting: this.#line.length };
  }
  /** Texts that it takes at the same time. */
  get room(): number {
    const { workers, maxRunning, maxWaiting } = this.#options;
    return workers * maxRunning + maxWaiting;
  }
  /** Whether some worker answers. */
  get isAnswering(): boolean {
    return this.#crew.lost === undefined && this.workers.some(({ isReady }) => isReady);
  }

  /**
   * Takes in texts that are asked for together: all or none.
   * @throws QueueFullError if too many wait.
   */
  submit(asked: readonly Submission[]): PooledText[] {
    const { running, waiting } = this.load;
    if (running + waiting + asked.length > this.room) {
      const found = `${running} texts are answered and ${waiting} wait`;
      throw new QueueFullError(`Cannot take ${asked.length} more: ${found}, ask again when some have ended`);
    }
    const added = asked.map((one) => this.#add(one));
    this.#dispatch();
    return added;
  }

  /** Seconds until a text is likely to have ended. */
  secondsToNext(): number {
    const work = Array.from(this.#texts, workLeft).reduce((sum, left) => sum + left, 0);
    const seconds = work / Math.max(1, this.#texts.size) / this.#speed.perSecond();
    return Math.min(MAX_SECONDS, Math.max(1, Math.ceil(seconds)));
  }

  /** Makes the prompts of an adapter on all workers. */
  async prepare(adapter: PoolAdapter): Promise<void> {
    await Promise.all(this.workers.map(async (replica) => replica.isReady && (await replica.prepare(adapter))));
  }

  /** Forgets an adapter that no text will use any more. */
  drop(adapter: PoolAdapter): void {
    for (const replica of this.workers) replica.drop(adapter);
  }

  /** Resolves once no text is left. */
  async idle(): Promise<void> {
    if (this.#texts.size > 0) await new Promise<void>((resolve) => this.#waitForIdle.push(resolve));
  }

  /** Ends all texts with an error, and the workers. */
  async close(): Promise<void> {
    for (const text of this.#texts) this.#end(text, { error: new Error("Cannot finish: the server is closing") });
    await this.#crew.close();
  }

  /** Gives texts to workers while there is room. */
  #dispatch(): void {
    for (let text = this.#line.first(); text; text = this.#line.first()) {
      const replica = roomFor(text, this.workers, this.#options.maxRunning);
      if (!replica) return;
      this.#line.take(text);
      replica.begin(text);
    }
  }

  #take(text: PoolText, report: TextReport): void {
    if ("error" in report) return this.#end(text, { error: decodeError(report.error) });
    if ("finishReason" in report) return this.#end(text, report);
    if ("id" in report) {
      text.answerIds.push(report.id);
      this.#line.charge(text);
      this.#speed.count(1);
    } else text.isScored = true;
    try {
      text.sink.onEvent(report);
    } catch (error) {
      this.#end(text, { error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  #takeBack(given: readonly PoolText[], cause: Error): void {
    for (const text of given) {
      text.deaths++;
      if (text.deaths < MAX_DEATHS) this.#line.giveBack(text);
      else this.#end(text, { error: deadly(text, cause) });
    }
    this.#dispatch();
  }

  #add({ request, sink }: Submission): PooledText {
    const { user, adapterName: adapter, timeoutMs } = request;
    const state = { isScored: false, isCharged: false, isPaused: false, deaths: 0, timer: undefined };
    const text: PoolText = { ...state, number: this.#numbers++, request, sink, user, adapter, answerIds: [] };
    const late = () => this.#end(text, { error: new DeadlineError(request.name, text.answerIds.length) });
    if (timeoutMs !== undefined) text.timer = setTimeout(late, timeoutMs);
    this.#texts.add(text);
    this.#line.add(text);
    return {
      cancel: () => {
        if (this.#leave(text)) this.#dispatch();
      },
      pause: () => {
        if (text.isPaused || !this.#texts.has(text)) return;
        text.isPaused = true;
        this.#withdraw(text);
        this.#line.remove(text);
        this.#dispatch();
      },
      resume: () => {
        if (!text.isPaused || !this.#texts.has(text)) return;
        text.isPaused = false;
        this.#line.giveBack(text);
        this.#dispatch();
      },
    };
  }

  #withdraw(text: PoolText): void {
    for (const replica of this.workers) replica.withdraw(text);
  }

  /** Takes a text out of the pool; false if it is not there. */
  #leave(text: PoolText): boolean {
    if (!this.#texts.delete(text)) return false;
    clearTimeout(text.timer);
    this.#withdraw(text);
    this.#line.leave(text);
    if (this.#texts.size > 0) return true;
    for (const resolve of this.#waitForIdle) resolve();
    this.#waitForIdle = [];
    return true;
  }

  #end(text: PoolText, how: TextEnd): void {
    if (!this.#leave(text)) return;
    text.sink.onEnd(how);
    this.#dispatch();
  }
}

/** The worker that is to answer a text, of those that have room. */
function roomFor(text: PoolText, replicas: readonly Replica[], maxRunning: number): Replica | undefined {
  const free = replicas.filter(({ isReady, size }) => isReady && size < maxRunning);
  const common = free.map((replica) => replica.common(text));
  const longest = Math.max(0, ...common);
  if (longest > 0) return free[common.indexOf(longest)];
  return free.reduce<Replica | undefined>((best, one) => (best && best.work <= one.work ? best : one), undefined);
}

function deadly({ request, deaths }: PoolText, cause: Error): Error {
  const found = `${deaths} workers ended while they answered it, last by: ${cause.message}`;
  return new Error(`Cannot finish ${request.name}: ${found}`, { cause });
}
