import type { Engine } from "@zerogate/core/engine";
import { expect, test } from "vitest";
import { beatingEngine, beatOf, createPulse, readPulse, signPulse } from "./pulse.ts";

test("a pulse begins at nothing, and counts each beat with its name", () => {
  const pulse = createPulse();
  for (const array of [pulse.counts, pulse.name]) expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(readPulse(pulse)).toEqual({ beats: 0, operation: "", thread: 0 });
  const [load, go] = [beatOf(pulse, "loadWeights"), beatOf(pulse, "go")];
  load();
  expect(readPulse(pulse)).toEqual({ beats: 1, operation: "loadWeights", thread: 0 });
  go(); // nothing of the longer name stays
  go();
  expect(readPulse(pulse)).toEqual({ beats: 3, operation: "go", thread: 0 });
});

test("a name as long as its room is read whole, a longer one is cut", () => {
  const pulse = createPulse();
  for (const length of [47, 48, 49, 60]) {
    beatOf(pulse, "x".repeat(length))();
    expect(readPulse(pulse).operation).toBe("x".repeat(Math.min(length, 48)));
  }
});

test.skipIf(process.platform !== "linux")("a pulse is signed with the thread's number (skipped: Linux only)", () => {
  const pulse = createPulse();
  signPulse(pulse);
  expect(readPulse(pulse)).toMatchObject({ beats: 0, thread: process.pid });
});

test("an engine beats before every operation, which has its own receiver and arguments; what is no function stays", () => {
  const pulse = createPulse();
  const seen: unknown[] = [];
  const engine = {
    name: "mine",
    embed(this: unknown, ...args: unknown[]) {
      seen.push([this === engine, args, readPulse(pulse).beats]);
      return "answer";
    },
  };
  const beating = beatingEngine(engine as unknown as Engine, pulse) as unknown as typeof engine;
  expect(beating.name).toBe("mine");
  expect(readPulse(pulse).beats).toBe(0);
  expect(beating.embed(1, 2)).toBe("answer");
  expect(seen).toEqual([[true, [1, 2], 1]]);
  expect(readPulse(pulse).operation).toBe("embed");
  expect(beating.embed).toBe(beating.embed);
});
