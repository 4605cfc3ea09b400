/** `RUN/receipt.jsonl` while a run goes on. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readRegularFileSync } from "@zerogate/core/node";
import { openAppendFile } from "../files/append_file.ts";
import { keepCopy } from "../files/keep_copy.ts";
import type { Trouble } from "../files/trouble.ts";
import { chainLine, type ReadReceipt, type ReceiptBody, readReceipt } from "./receipt.ts";

/** A run's receipt, open to add lines. */
export interface ReceiptFile {
  /** Adds a line, linked to the one before. */
  add(body: ReceiptBody): void;
  /** Adds a line that is made at `settle`, or before anything else is asked of the receipt: what it is made of must stay until then. */
  addLater(make: () => ReceiptBody): void;
  /** Writes the line that waits, if one does. */
  settle(): void;
  /** The last line's link: a checkpoint stores it. */
  chain(): string | undefined;
  /** Closes the file. */
  close(): void;
}

const NO_RECEIPT: ReadReceipt = { lines: [], ends: [], problem: undefined, isCutOff: false };

/** Returns the path of a run's receipt. */
export function receiptPath(runDir: string): string {
  return join(runDir, "receipt.jsonl");
}

/** All whole lines; none if there is no receipt. */
export function loadReceipt(runDir: string): ReadReceipt {
  const path = receiptPath(runDir);
  return existsSync(path) ? readReceipt(readRegularFileSync(path)) : NO_RECEIPT;
}

/**
 * Opens the receipt of a run that goes on from a checkpoint, cut back to the line that the checkpoint knows; undefined: of
 * one that starts (again). Where that line is lost, whole ones before it stay and a `gap` follows them; that is reported to
 * `onDamage`, and a copy of the file is kept.
 */
export function openReceipt(
  runDir: string,
  from: { readonly step: number; readonly chain: string } | undefined,
  trouble: Trouble,
  onDamage: (sentence: string) => void,
): ReceiptFile {
  const path = receiptPath(runDir);
  const { lines, ends, problem = "its end is missing" } = loadReceipt(runDir);
  const known = lines.findIndex(({ chain }) => chain === from?.chain);
  if (from && known === -1) {
    const found = existsSync(path) ? `is damaged (${problem}). It is kept as ${keepCopy(path)}` : "is missing";
    onDamage(`${path} ${found}; a new one notes the gap and goes on from step ${from.step}`);
  }
  const last = known !== -1 ? known : lastBefore(lines, from?.step);
  const file = openAppendFile(path, trouble, last === -1 ? 0 : ends[last]);
  let chain = lines[last]?.chain;
  let waiting: (() => ReceiptBody) | undefined;
  const settle = () => {
    const make = waiting;
    waiting = undefined;
    if (make) write(make());
  };
  const write = (body: ReceiptBody) => {
    const line = chainLine(chain, body);
    chain = line.chain;
    file.write(line.text);
  };
  if (from && known === -1) write({ event: "gap", step: from.step, before: from.chain });
  return {
    add(body) {
      settle();
      write(body);
    },
    addLater(make) {
      settle();
      waiting = make;
    },
    settle,
    chain() {
      settle();
      return chain;
    },
    close() {
      settle();
      file.close();
    },
  };
}

/** The last of the lines up to `step`; -1 without a step. */
function lastBefore(lines: ReadReceipt["lines"], step: number | undefined): number {
  if (step === undefined) return -1;
  const later = lines.findIndex((line) => "step" in line && line.step > step);
  return (later === -1 ? lines.length : later) - 1;
}
