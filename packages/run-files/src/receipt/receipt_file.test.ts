/** A receipt that something happened to while its run did not go on. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { momentsDigest, type ReceiptBody } from "./receipt.ts";
import { loadReceipt, openReceipt, receiptPath } from "./receipt_file.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-receipt-"));
});
afterEach(() => rmSync(run, { recursive: true }));

const quiet = { failed: () => {}, worked: () => {} };
const hashes = { base: "b", data: "d", tokenizer: "t", plan: "p" };
const start: ReceiptBody = {
  event: "start",
  version: 2,
  zerogate: "1",
  node: "20",
  engine: "reference",
  hashes,
  config: "c",
  params: "0",
};
const step = (n: number): ReceiptBody => ({ event: "step", step: n, loss: 1 / n, params: `p${n}`, moments: `m${n}` });
const evaluation = (n: number): ReceiptBody => ({ event: "eval", step: n, loss: 1 });

/** Writes these lines; returns the link after each. */
function write(...bodies: ReceiptBody[]): string[] {
  const file = openReceipt(run, undefined, quiet, () => {});
  const chains = bodies.map((body) => {
    file.add(body);
    return file.chain() ?? "";
  });
  file.close();
  return chains;
}
const reopen = (from: { step: number; chain: string } | undefined, ...bodies: ReceiptBody[]) => {
  const said: string[] = [];
  const file = openReceipt(run, from, quiet, (sentence) => said.push(sentence));
  const chain = file.chain();
  for (const body of bodies) file.add(body);
  file.close();
  return {
    said,
    chain,
    events: loadReceipt(run).lines.map((line) => ("step" in line ? `${line.event} ${line.step}` : line.event)),
  };
};

test.each(["settle", "add", "addLater", "chain", "close"] as const)(
  "a line that waits is made at %s, once, and stands in its place",
  (call) => {
    const expected = write(start, step(1), step(2));
    const file = openReceipt(run, undefined, quiet, () => {});
    file.add(start);
    let made = 0;
    file.addLater(() => {
      made++;
      return step(1);
    });
    expect(made).toBe(0);
    if (call === "settle") file.settle();
    if (call === "add") file.add(step(2));
    if (call === "addLater") file.addLater(() => step(2));
    const link = call === "chain" ? file.chain() : expected[1];
    if (call === "close") file.close();
    expect([made, link]).toEqual([1, expected[1]]);
    if (call === "settle" || call === "chain") file.add(step(2));
    if (call !== "close") file.close();
    expect(made).toBe(1);
    const chains = loadReceipt(run).lines.map(({ chain }) => chain);
    expect(chains).toEqual(call === "close" ? expected.slice(0, 2) : expected);
  },
);

test("without a receipt there are no lines, and nothing is wrong", () => {
  expect(loadReceipt(run)).toEqual({ lines: [], ends: [], problem: undefined, isCutOff: false });
  expect(receiptPath(run)).toBe(join(run, "receipt.jsonl"));
});

test("a lost receipt begins again with the gap, which is reported", () => {
  const { said, events, chain } = reopen({ step: 4, chain: "f".repeat(64) }, step(5));
  expect(said).toEqual([`${receiptPath(run)} is missing; a new one notes the gap and goes on from step 4`]);
  expect(events).toEqual(["gap 4", "step 5"]);
  expect(chain).toMatch(/^[0-9a-f]{64}$/);
  expect(loadReceipt(run).lines[0]).toMatchObject({ before: "f".repeat(64) });
  expect(loadReceipt(run).problem).toBeUndefined();
});

test("a run that starts again has none of the lines before", () => {
  write(start, step(1), step(2));
  const { said, events, chain } = reopen(undefined, start);
  expect([said, events, chain]).toEqual([[], ["start"], undefined]);
});

test("a resume continues after its checkpoint's line, also among several lines of one step", () => {
  const chains = write(start, evaluation(0), step(1), step(2), evaluation(2), step(3));
  expect(reopen({ step: 2, chain: chains[4] ?? "" }, step(3))).toEqual({
    said: [],
    chain: chains[4],
    events: ["start", "eval 0", "step 1", "step 2", "eval 2", "step 3"],
  });
  expect(reopen({ step: 2, chain: chains[3] ?? "" }).events).toEqual(["start", "eval 0", "step 1", "step 2"]);
  expect(reopen({ step: 0, chain: chains[0] ?? "" }).events).toEqual(["start"]);
});

test("of a receipt without its checkpoint's line those up to its step stay, later ones do not, and a copy is kept", () => {
  write(start, step(1), step(2), evaluation(2), step(3), step(4));
  const before = readFileSync(receiptPath(run));
  const { said, events } = reopen({ step: 2, chain: "0".repeat(64) }, step(3));
  expect(events).toEqual(["start", "step 1", "step 2", "eval 2", "gap 2", "step 3"]);
  expect(said).toEqual([
    `${receiptPath(run)} is damaged (its end is missing). It is kept as ${receiptPath(run)}.corrupt; a new one notes the gap and goes on from step 2`,
  ]);
  expect(readFileSync(`${receiptPath(run)}.corrupt`)).toEqual(before);
  expect(loadReceipt(run).problem).toBeUndefined();
});

test("if a line in the middle is broken, what is before it stays, and that is reported", () => {
  const chains = write(start, step(1), step(2), step(3));
  const text = readFileSync(receiptPath(run), "utf8");
  writeFileSync(receiptPath(run), text.replace('"step":2', '"step":7'));
  const { said, events } = reopen({ step: 3, chain: chains[3] ?? "" });
  expect(events).toEqual(["start", "step 1", "gap 3"]);
  expect(said[0]).toContain("is damaged (line 3 is not linked to the one before). It is kept as ");
});

test("a folder in its place is no receipt", () => {
  mkdirSync(receiptPath(run));
  expect(() => loadReceipt(run)).toThrow(receiptPath(run));
  expect(existsSync(receiptPath(run))).toBe(true);
});

test("the digest of moments is over both, in their order, and over the count of updates", () => {
  const [m, v] = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
  const digest = momentsDigest({ m, v, t: [5] });
  expect(momentsDigest({ m: Float32Array.of(9, 1, 2).subarray(1), v, t: [5] })).toBe(digest);
  for (const other of [
    { m: v, v: m, t: [5] },
    { m, v, t: [6] },
    { m, v: Float32Array.of(3, 5), t: [5] },
    { m: Float32Array.of(1, 0), v, t: [5] },
  ]) {
    expect(momentsDigest(other)).not.toBe(digest);
  }
});
