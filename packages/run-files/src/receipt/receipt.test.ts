import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chainLine, paramsDigest, type ReceiptBody, readReceipt } from "./receipt.ts";
import { loadReceipt, openReceipt } from "./receipt_file.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-receipt-"));
});
afterEach(() => rmSync(run, { recursive: true }));

const quiet = { failed: () => {}, worked: () => {} };
const hashes = { base: "b", data: "d", tokenizer: "t", plan: "p" };
const start: ReceiptBody = {
  event: "start",
  version: 1,
  zerogate: "1",
  node: "20",
  engine: "reference",
  hashes,
  config: "c",
  params: "0",
};
const step = (n: number): ReceiptBody => ({ event: "step", step: n, loss: 1 / n, params: `p${n}` });
const never = (sentence: string) => {
  throw new Error(`not expected: ${sentence}`);
};
const path = () => join(run, "receipt.jsonl");

/** Makes a receipt of n steps; returns the link after each line. */
function writeReceipt(steps: number): (string | undefined)[] {
  const file = openReceipt(run, undefined, quiet, never);
  const chains = [start, ...Array.from({ length: steps }, (_, i) => step(i + 1))].map((body) => {
    file.add(body);
    return file.chain();
  });
  file.close();
  return chains;
}

test("a link is SHA-256 of the one before, a line feed and the line, as any tool computes it", () => {
  const { text, chain } = chainLine("a".repeat(64), step(4));
  const line = '{"event":"step","step":4,"loss":0.25,"params":"p4"}';
  expect(chain).toBe(
    createHash("sha256")
      .update(`${"a".repeat(64)}\n${line}`)
      .digest("hex"),
  );
  expect(text).toBe(`${line.slice(0, -1)},"chain":"${chain}"}\n`);
  expect(paramsDigest(new Float32Array(1))).toBe(createHash("sha256").update(Buffer.alloc(4)).digest("hex"));
});

test("lines come back, losses to the bit", () => {
  const chains = writeReceipt(7);
  const { lines, problem } = loadReceipt(run);
  expect(problem).toBeUndefined();
  expect(lines).toEqual([start, ...[1, 2, 3, 4, 5, 6, 7].map(step)].map((body, i) => ({ ...body, chain: chains[i] })));
});

test("any changed byte, and a line that is taken out or moved, breaks the chain at its place", () => {
  writeReceipt(3);
  const bytes = readFileSync(path());
  const { ends } = readReceipt(bytes);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    const { lines, problem } = readReceipt(changed);
    expect(problem, `byte ${at}`).toBeDefined();
    expect(lines.length).toBe(ends.findIndex((end) => end > at));
  }
  const texts = bytes.toString().split("\n");
  const without = texts.filter((_, i) => i !== 1).join("\n");
  expect(readReceipt(Buffer.from(without)).problem).toBe("line 2 is not linked to the one before");
  expect(readReceipt(bytes.subarray(0, -5))).toMatchObject({ problem: "line 4 is cut off", isCutOff: true });
});

test("a resume cuts back to the line of its checkpoint and goes on to the same bytes", () => {
  const chains = writeReceipt(6);
  const whole = readFileSync(path());
  writeFileSync(path(), Buffer.concat([whole, Buffer.from('{"half')]));
  const file = openReceipt(run, { step: 4, chain: chains[4] ?? "" }, quiet, never);
  expect(loadReceipt(run).lines).toHaveLength(5);
  file.add(step(5));
  file.add(step(6));
  file.close();
  expect(readFileSync(path())).toEqual(whole);
});

test("if the checkpoint's line is lost a gap follows the whole lines before it, and the chain goes on from the checkpoint", () => {
  const chains = writeReceipt(6);
  const { ends } = loadReceipt(run);
  writeFileSync(path(), readFileSync(path()).subarray(0, ends[2]));
  const damaged = readFileSync(path());
  const said: string[] = [];
  const file = openReceipt(run, { step: 5, chain: chains[5] ?? "" }, quiet, (sentence) => said.push(sentence));
  file.add(step(6));
  file.close();
  const { lines, problem } = loadReceipt(run);
  expect(problem).toBeUndefined();
  expect(lines.map(({ event }) => event)).toEqual(["start", "step", "step", "gap", "step"]);
  expect(lines[3]).toMatchObject({ step: 5, before: chains[5] });
  expect(said).toEqual([
    `${path()} is damaged (its end is missing). It is kept as ${path()}.corrupt; a new one notes the gap and goes on from step 5`,
  ]);
  expect(readFileSync(`${path()}.corrupt`)).toEqual(damaged);
});
