import { stripVTControlCharacters } from "node:util";
import type { Phase } from "@zerogate/trainer";
import { createColors } from "picocolors";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { canRedraw, openStatus, type StatusStream } from "./display.ts";
import { visibleWidth } from "./fit.ts";
import type { TrainingStatus, WorkerStatus } from "./state.ts";
import { renderBlock } from "./status_block.ts";

const status: TrainingStatus = {
  run: "runs/alpaca",
  step: 126,
  totalSteps: 300,
  epoch: 1.26,
  totalEpochs: 3,
  elapsedMs: 72_000,
  remainingMs: 100_000,
  losses: [2.5, 2, 1.7, 1.5, 1.3, 1.2345],
  validationLoss: 1.2,
  best: { step: 120, loss: 1.19 },
  learningRate: 4.98e-3,
  gradientNorm: 0.732,
  tokensPerSecond: 3412,
  labelledTokensPerSecond: 1203,
  workers: [
    { name: "cpu 0", state: "computing", cells: 412, busy: 0.82 },
    { name: "cpu 1", state: "lost", cells: 98, busy: 0.61 },
  ],
};

const ESC = "\u001b";
const plain = createColors(false);
const block = (columns: number, rows = 24, training: TrainingStatus | undefined = status) =>
  `\n${renderBlock({ training, phase: { name: "validating", done: 3, total: 10 } }, { columns, rows }, plain).join("\n")}\n`;

test("the block on a wide terminal", () => {
  expect(block(100)).toMatchInlineSnapshot(`
    "
    runs/alpaca
    ████████████████▊░░░░░░░░░░░░░░░░░░░░░░░  42%   step 126/300   epoch 1.26/3
    elapsed 1m 12s   left 1m 40s   3,412 tokens/s, 1,203 labelled
    loss 1.2345  █▅▄▂▁▁
    validation 1.2000   best 1.1900 at step 120
    learning rate 4.98e-3   gradient norm 0.732
    validating ███████▎░░░░░░░░░░░░░░░░ 3/10
    cpu 0  computing  █████████████▏░░  82% busy   412 cells
    cpu 1  lost       █████████▊░░░░░░  61% busy   98 cells
    "
  `);
});

test("the block on a narrow terminal fits its width", () => {
  expect(block(44)).toMatchInlineSnapshot(`
    "
    runs/alpaca
    ███▍░░░░  42%   step 126/300   epoch 1.26/3
    elapsed 1m 12s   left 1m 40s   3,412 tokens…
    loss 1.2345  █▅▄▂▁▁
    validation 1.2000   best 1.1900 at step 120
    learning rate 4.98e-3   gradient norm 0.732
    validating ███████▎░░░░░░░░░░░░░░░░ 3/10
    cpu 0  computing  ███▎  82% busy   412 cells
    cpu 1  lost       ██▌░  61% busy   98 cells
    "
  `);
  for (let columns = 20; columns < 120; columns++) {
    for (const line of block(columns).split("\n")) expect(visibleWidth(line)).toBeLessThanOrEqual(columns);
  }
});

const phaseLines = (phase: Phase) => renderBlock({ phase }, { columns: 60, rows: 24 }, plain);

test("before the first step there is the phase only, and unknown ends are counted up", () => {
  expect(phaseLines({ name: "loading" })).toEqual(["loading"]);
  expect(phaseLines({ name: "reading", done: 1200 })).toEqual(["reading 1,200"]);
  expect(phaseLines({ name: "tokenising", done: 26_001, total: 52_002 })).toEqual([
    "tokenising ████████████░░░░░░░░░░░░ 26,001/52,002",
  ]);
});

test("on a low terminal workers are left out, and counted", () => {
  const workers = Array.from({ length: 64 }, (_, i): WorkerStatus => {
    return { name: `cpu ${i}`, state: "computing", cells: i, busy: 0.5 };
  });
  const rows = block(80, 10, { ...status, workers })
    .trim()
    .split("\n");
  expect(rows).toHaveLength(10);
  expect(rows.at(-1)).toBe("… 62 more workers");
});

test.each([
  ["a terminal", true, {}, true],
  ["a file or pipe", false, {}, false],
  ["a terminal under CI", true, { CI: "true" }, false],
  ["a terminal with NO_COLOR", true, { NO_COLOR: "1" }, false],
  ["an empty NO_COLOR, which means nothing", true, { NO_COLOR: "" }, true],
  ["a dumb terminal", true, { TERM: "dumb" }, false],
])("%s: block is %s", (_, isTTY, env, expected) => {
  expect(canRedraw({ isTTY }, env)).toBe(expected);
});

/** Just enough of a terminal: what is on the screen after the cursor moves, erasures and texts of a block. */
function screen(output: string): string[] {
  const lines = [""];
  let row = 0;
  for (const piece of output.match(new RegExp(`${ESC}\\[\\??\\d*[A-Za-z]|\r|\n|[^${ESC}\r\n]+`, "g")) ?? []) {
    const up = /^.\[(\d+)A$/.exec(piece);
    if (up) row -= Number(up[1]);
    else if (piece === "\n") lines[++row] ??= "";
    else if (piece === "\u001b[J") lines.length = row + 1;
    else if (!piece.startsWith("\u001b") && piece !== "\r") lines[row] = piece;
    if (piece === "\u001b[J") lines[row] = "";
  }
  return lines;
}

function recorder(isTTY: boolean): StatusStream & { text: string } {
  return {
    text: "",
    isTTY,
    columns: 100,
    rows: 24,
    write(text: string) {
      this.text += text;
    },
    paint(text: string) {
      this.text += text;
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("on a terminal the block is redrawn in place, log lines stay above it and the cursor comes back", () => {
  const stream = recorder(true);
  const display = openStatus(stream, {});
  display.phase({ name: "loading" });
  display.log("model has 12 layers");
  display.phase(undefined);
  for (let step = 1; step <= 30; step++) {
    display.training({ ...status, step });
    if (step === 20) display.log("checkpoint saved\nkept 3");
    vi.advanceTimersByTime(40);
  }
  display.stop();
  display.stop();
  const lines = screen(stripColours(stream.text));
  expect(lines.slice(0, 3)).toEqual(["model has 12 layers", "checkpoint saved", "kept 3"]);
  expect(lines.filter((line) => line.includes("step 30/300"))).toHaveLength(1);
  expect(lines.filter((line) => line.includes("step"))).toHaveLength(2); // and “at step 120”
  expect(lines.at(-1)).toBe("");
  expect(stream.text.startsWith("\u001b[?25l")).toBe(true);
  expect(stream.text.endsWith("\u001b[?25h")).toBe(true);
  // 30 steps in 1.2 s at ten redraws a second, two log lines, a phase and the end.
  expect(stream.text.split("step ").length / 2).toBeLessThan(18);
});

test("what is logged above the block steers nothing [T-B6]", () => {
  const stream = recorder(true);
  const display = openStatus(stream, {});
  display.log("\u001b[2Jevil\u009b2J\u202e");
  display.stop();
  expect(stream.text).toContain("\\u001b[2Jevil\\u009b2J\\u202e");
  for (const part of ["\u001b[2J", "\u009b", "\u202e"]) expect(stream.text).not.toContain(part);
});

test("the cursor comes back when the process exits without stop", () => {
  const before = process.listeners("exit");
  const stream = recorder(true);
  const display = openStatus(stream, {});
  const added = process.listeners("exit").filter((listener) => !before.includes(listener));
  expect(added).toHaveLength(1);
  added[0]?.(1);
  expect(stream.text.endsWith("\u001b[?25h")).toBe(true);
  display.stop();
  expect(process.listeners("exit")).toEqual(before);
});

test("elsewhere there are plain lines: one every two seconds, the last step always, no escape sequence", () => {
  const stream = recorder(false);
  const display = openStatus(stream, {});
  for (let done = 0; done <= 50_000; done += 5000) {
    display.phase({ name: "tokenising", done, total: 50_000 });
    vi.advanceTimersByTime(100);
  }
  display.phase(undefined);
  for (let step = 1; step <= 300; step++) {
    display.training({ ...status, step });
    vi.advanceTimersByTime(20);
  }
  display.log("done");
  display.stop();
  expect(stream.text).toBe(stripVTControlCharacters(stream.text));
  const lines = stream.text.split("\n");
  expect(lines.slice(0, 2)).toEqual(["tokenising 0/50,000", "tokenising 50,000/50,000"]);
  expect(lines.filter((line) => line.startsWith("step"))).toHaveLength(4);
  expect(lines.slice(-3)).toEqual([
    "step 300/300  epoch 1.26/3  loss 1.2345  validation 1.2000  lr 4.98e-3  norm 0.732  3,412 tokens/s  elapsed 1m 12s  left 1m 40s  1 of 2 workers lost",
    "done",
    "",
  ]);
});

test("a run that ends early leaves its last step in the plain lines", () => {
  const stream = recorder(false);
  const display = openStatus(stream, {});
  for (let step = 1; step <= 7; step++) display.training({ ...status, step });
  display.stop();
  expect(stream.text.match(/step \d+/g)).toEqual(["step 1", "step 7"]);
});

const stripColours = (text: string) => text.replace(new RegExp(`${ESC}\\[[0-9;]*m`, "g"), "");
