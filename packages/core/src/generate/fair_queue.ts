/**
 * Who is served next: the user who was served least, of that user's adapters the one that was, then who came first. Service is counted
 * in tokens, so many short texts and one long one are worth the same (counters of Sheng et al. 2024, arXiv:2401.00588 §4, which
 * share as deficit round-robin does, without a quantum).
 */

/** Whom a text is for, and what it is answered with. */
export interface ServedBy {
  readonly user: string;
  readonly adapter: string;
}

/** Texts that wait. */
export interface FairQueue<T extends ServedBy> {
  readonly length: number;
  /** Takes in a text that waits. */
  add(text: T): void;
  /** Takes a text out; false if it does not wait. */
  remove(text: T): boolean;
  /** Returns whose turn it is, without taking it out. */
  first(): T | undefined;
  /** Counts tokens that a text was served. */
  charge(text: T, tokens: number): void;
  /** Says that a text is done: users without any text are forgotten. */
  leave(text: T): void;
  /** Yields the texts that wait, in the order in which they came. */
  [Symbol.iterator](): Iterator<T>;
}

/** What one user, or one adapter of a user, has been served. */
interface Counter {
  served: number;
  /** Texts that wait or run. */
  texts: number;
}

/**
 * Opens an empty queue.
 *
 * @example
 * const queue = openFairQueue<{ user: string; adapter: string }>();
 * const text = { user: "me", adapter: "mine" };
 * queue.add(text);
 * queue.charge(text, 5);
 * queue.length; // 1
 */
export function openFairQueue<T extends ServedBy>(): FairQueue<T> {
  const waiting: T[] = [];
  const users = new Map<string, Counter>();
  const adapters = new Map<string, Map<string, Counter>>();

  function enter(counters: Map<string, Counter>, key: string): void {
    const own = counters.get(key);
    if (own) {
      own.texts++;
      return;
    }
    // Whoever was away has saved nothing up: a newcomer begins level with the least served of those here.
    const others = Array.from(counters.values(), ({ served }) => served);
    counters.set(key, { served: others.length > 0 ? Math.min(...others) : 0, texts: 1 });
  }
  function exit(counters: Map<string, Counter> | undefined, key: string): void {
    const own = counters?.get(key);
    if (own && --own.texts === 0) counters?.delete(key);
  }
  /** The first of those with the least service. */
  function least(texts: readonly T[], served: (text: T) => number | undefined): T | undefined {
    const services = texts.map((text) => served(text) ?? 0);
    return texts[services.indexOf(Math.min(...services))];
  }

  return {
    get length() {
      return waiting.length;
    },
    add(text) {
      waiting.push(text);
      enter(users, text.user);
      const own = adapters.get(text.user) ?? new Map<string, Counter>();
      adapters.set(text.user, own);
      enter(own, text.adapter);
    },
    remove(text) {
      const at = waiting.indexOf(text);
      if (at >= 0) waiting.splice(at, 1);
      return at >= 0;
    },
    first() {
      const next = least(waiting, ({ user }) => users.get(user)?.served);
      const own = waiting.filter(({ user }) => user === next?.user);
      return least(own, ({ user, adapter }) => adapters.get(user)?.get(adapter)?.served);
    },
    charge({ user, adapter }, tokens) {
      for (const counter of [users.get(user), adapters.get(user)?.get(adapter)]) if (counter) counter.served += tokens;
    },
    leave({ user, adapter }) {
      exit(adapters.get(user), adapter);
      exit(users, user);
      if (!users.has(user)) adapters.delete(user);
    },
    [Symbol.iterator]: () => waiting.values(),
  };
}
