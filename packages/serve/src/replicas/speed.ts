/** How fast tokens come, over the last few seconds. */

/** Tokens by time. */
export interface Speed {
  count(tokens: number): void;
  /** Tokens a second, of the time in which some came. */
  perSecond(): number;
}

const WINDOW_MS = 10_000;
/** Until something is known. */
const FIRST = 10;

/** Opens an empty count. */
export function openSpeed(now: () => number = () => performance.now()): Speed {
  let began: number | undefined;
  let tokens = 0;
  let last = FIRST;
  const settle = (): void => {
    const time = now();
    if (began === undefined || time - began < WINDOW_MS) return;
    last = Math.max(0.1, (1000 * tokens) / (time - began));
    began = undefined;
    tokens = 0;
  };
  return {
    count(more) {
      settle();
      began ??= now();
      tokens += more;
    },
    perSecond() {
      const time = now();
      const seconds = began === undefined ? 0 : (time - began) / 1000;
      return seconds > 1 ? Math.max(0.1, tokens / seconds) : last;
    },
  };
}
