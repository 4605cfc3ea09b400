/**
 * The two ways out of a command: results on stdout, messages on stderr. Here alone text meets a terminal, so here it is made
 * plain; and here a reader that has left, or a disk that is full, is noticed.
 */
import { setImmediate } from "node:timers/promises";
import { plainText } from "./plain_text.ts";

/** What is used of `process.stdout` and `process.stderr`. */
interface Stream {
  write(text: string, done?: () => void): unknown;
  on(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Results {
  /** Throws if what was written before could not be, unless this command goes on without a reader. */
  write(text: string): void;
  /** Text that a file or pipe gets byte for byte; a terminal gets it as `write` writes it. */
  exact(text: string): void;
  /** Width of a terminal. */
  readonly columns: number | undefined;
  /** From here on a reader may leave: `say` is called once with the reason, and what is written afterwards is dropped. */
  goOnWithout(say: (reason: string) => void): void;
  /** Waits until all is written; returns why that failed, if nobody was given the reason yet. */
  flush(): Promise<string | undefined>;
}

export interface Messages {
  write(text: string): void;
  /** Text that steers the terminal. What it quotes must be plain already. */
  paint(text: string): void;
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  readonly rows: number | undefined;
}

export function openResults(stream: Stream): Results {
  let lost: string | undefined;
  let isSaid = false;
  let say: ((reason: string) => void) | undefined;
  const tell = () => {
    if (lost === undefined || isSaid || !say) return;
    isSaid = true;
    say(lost);
  };
  const lose = (error: NodeJS.ErrnoException) => {
    lost ??= error.code === "EPIPE" ? `its reader has left (${error.message})` : error.message;
    tell();
  };
  stream.on("error", lose);
  const send = (text: string) => {
    if (lost === undefined) attempt(() => stream.write(text), lose);
    if (lost === undefined || say) return;
    isSaid = true;
    throw new Error(`Cannot write the output: ${lost}`);
  };
  return {
    write: (text) => send(plainText(text)),
    exact: (text) => send(stream.isTTY ? plainText(text) : text),
    get columns() {
      return stream.columns;
    },
    goOnWithout(listener) {
      say = listener;
      tell();
    },
    async flush() {
      if (lost === undefined) await new Promise<void>((resolve) => void stream.write("", () => resolve()));
      await setImmediate(); // a stream says what failed after it has called back
      return isSaid ? undefined : lost;
    },
  };
}

/** Nobody is there to hear what goes wrong with it, and the log of a run has the same lines. */
export function openMessages(stream: Stream): Messages {
  stream.on("error", () => {});
  const send = (text: string) =>
    attempt(
      () => stream.write(text),
      () => {},
    );
  return {
    write: (text) => send(plainText(text)),
    paint: send,
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns;
    },
    get rows() {
      return stream.rows;
    },
  };
}

/** Files are written at once, so that their errors may be thrown; those of pipes come later, as events. */
function attempt(write: () => unknown, failed: (error: NodeJS.ErrnoException) => void): void {
  try {
    write();
  } catch (error) {
    failed(error as NodeJS.ErrnoException);
  }
}
