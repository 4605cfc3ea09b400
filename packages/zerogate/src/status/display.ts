/** Shows a run while it runs: one block redrawn in place on a terminal, plain lines elsewhere. */

import type { Phase } from "@zerogate/trainer";
import { createColors } from "picocolors";
import { plainText } from "../terminal/plain_text.ts";
import { visibleWidth } from "./fit.ts";
import { plainLine, plainPhase } from "./plain_line.ts";
import type { TrainingStatus } from "./state.ts";
import { renderBlock } from "./status_block.ts";

const REDRAW_MS = 100;
const PLAIN_MS = 2000;

const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";
const clearLine = "\u001b[K";
const clearBelow = "\u001b[J";

/** See `Messages` of terminal/output.ts. */
export interface StatusStream {
  write(text: string): unknown;
  paint(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface StatusDisplay {
  /** Shows what is going on besides steps; undefined ends the phase. */
  phase(phase: Phase | undefined): void;
  training(status: TrainingStatus): void;
  /** Prints above the block. May hold several lines. */
  log(text: string): void;
  /** Leaves the last state on the screen and gives the cursor back. Calls after it print plainly. */
  stop(): void;
}

/** Whether a block may be drawn: a terminal that can, and nobody who reads the output as a file. */
export function canRedraw(
  stream: Pick<StatusStream, "isTTY">,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  const isSet = (name: string) =>
    env[name] !== undefined && env[name] !== "" && env[name] !== "0" && env[name] !== "false";
  return stream.isTTY === true && env["TERM"] !== "dumb" && !isSet("NO_COLOR") && !isSet("CI");
}

export function openStatus(stream: StatusStream, env: Readonly<Record<string, string | undefined>>): StatusDisplay {
  return canRedraw(stream, env) ? openBlock(stream) : openPlain(stream);
}

function openBlock(stream: StatusStream): StatusDisplay {
  const colors = createColors(true);
  let shown: { training?: TrainingStatus | undefined; phase?: Phase | undefined } = {};
  /** Visible widths of the lines on the screen: what they wrap to changes with the terminal. */
  let drawn: number[] = [];
  let lastDraw = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let open = true;
  // process.exit skips everything else: a terminal must not be left without its cursor.
  const restore = () => stream.paint(showCursor);
  process.once("exit", restore);
  stream.paint(hideCursor);

  const draw = (above = "") => {
    clearTimeout(timer);
    timer = undefined;
    lastDraw = performance.now();
    const columns = Math.max(20, stream.columns ?? 80);
    const lines = renderBlock(shown, { columns, rows: Math.max(4, (stream.rows ?? 24) - 1) }, colors);
    // One write: whoever else writes to the terminal cannot come between.
    stream.paint(backToTop(columns) + above + lines.map((line) => `${line}${clearLine}\n`).join("") + clearBelow);
    drawn = lines.map(visibleWidth);
  };
  const backToTop = (columns: number) => {
    const height = drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return height === 0 ? "\r" : `\r\u001b[${height}A`;
  };
  const drawSoon = () => {
    const wait = lastDraw + REDRAW_MS - performance.now();
    if (wait <= 0) draw();
    else timer ??= setTimeout(draw, wait).unref();
  };
  return {
    phase: (phase) => {
      shown = { ...shown, phase };
      if (open) drawSoon();
    },
    training: (training) => {
      shown = { ...shown, training };
      if (open) drawSoon();
    },
    log: (text) => {
      const above = plainText(text)
        .split("\n")
        .map((line) => `${line}${clearLine}\n`);
      if (open) draw(above.join(""));
      else stream.write(`${text}\n`);
    },
    stop: () => {
      if (!open) return;
      open = false;
      shown = { training: shown.training };
      draw();
      process.off("exit", restore);
      restore();
    },
  };
}

function openPlain(stream: StatusStream): StatusDisplay {
  let lastLine = Number.NEGATIVE_INFINITY;
  let lastPhase: string | undefined;
  let lastStep: number | undefined;
  let waiting: TrainingStatus | undefined;
  const print = (line: string) => {
    lastLine = performance.now();
    stream.write(`${line}\n`);
  };
  const due = () => performance.now() - lastLine >= PLAIN_MS;
  const printWaiting = () => {
    if (waiting) print(plainLine(waiting));
    waiting = undefined;
  };
  return {
    phase: (phase) => {
      const isNew = phase !== undefined && phase.name !== lastPhase;
      const isDone = phase?.total !== undefined && phase.done === phase.total;
      lastPhase = phase?.name;
      if (phase && (isNew || isDone || due())) print(plainPhase(phase));
    },
    training: (status) => {
      if (status.step === lastStep) return;
      lastStep = status.step;
      waiting = status;
      if (due() || status.step === status.totalSteps) printWaiting();
    },
    log: (text) => {
      stream.write(`${text}\n`);
    },
    stop: printWaiting,
  };
}
