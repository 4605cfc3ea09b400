/** The pool with real workers: a text that is paused and goes on, and one whose reader throws. */
import { availableParallelism } from "node:os";
import { type FinishReason, tokenTrie } from "@zerogate/core";
import { loadBase, openBase } from "@zerogate/trainer/command";
import { afterAll, expect, test } from "vitest";
import { openServers } from "../../test/served.ts";
import { startWorker } from "../worker/start_worker.ts";
import { TextPool } from "./pool.ts";
import type { PoolRequest, TextEnd } from "./pool_text.ts";

const { place } = await openServers();
const keys = { engine: "reference", compute: "f32", storage: "as-is", packing: "auto", links: true } as const;
const request = { ...keys, model: place.base, tokenizer: "model", strictTensors: false, workers: 1, isolate: false };
const opened = await openBase({ ...request, devices: undefined }, () => {}, availableParallelism());
const weights = await loadBase(opened, () => {});
const trie = tokenTrie(opened.tokenizer.vocabularySize, opened.tokenizer.bytesOf);
const limits = { maxRunning: 4, passTokens: 64, keptTexts: 2, keptPrompts: 2 };
const engine = { module: opened.engine.module, options: opened.engine.options };
const pool = new TextPool({
  workers: 1,
  maxRunning: 4,
  maxWaiting: 4,
  keptTexts: 2,
  patienceMs: 0,
  onEvent: () => {},
  start(device, listener) {
    if (!("bytes" in weights)) throw new Error("a base in memory is needed");
    return startWorker({ engine, device, config: opened.model, weights, limits, trie }, listener);
  },
});
await pool.ready;
afterAll(() => pool.close());

const text: PoolRequest = {
  name: "a text",
  user: "",
  adapterName: "base",
  adapter: undefined,
  promptIds: [5, 9, 40, 77],
  maxNewTokens: 40,
  temperature: 1,
  seed: 3,
  eosTokenIds: [],
};

/** Submits the text; `onToken` gets the number of each token. */
function submit(onToken: (count: number) => void = () => {}) {
  const ids: number[] = [];
  const { promise, end } = settled();
  const sink = {
    onEvent(event: object) {
      if (!("id" in event)) return;
      ids.push(event.id as number);
      onToken(ids.length);
    },
    onEnd: end,
  };
  const [pooled] = pool.submit([{ request: text, sink }]);
  return { ids, pooled, ended: promise };
}

function settled() {
  let end: (how: TextEnd) => void = () => {};
  const promise = new Promise<FinishReason | Error>((resolve) => {
    end = (how) => resolve("error" in how ? how.error : how.finishReason);
  });
  return { promise, end: (how: TextEnd) => end(how) };
}

test("a text that is paused makes no token, holds no place, and goes on as if nothing had been", async () => {
  const whole = submit();
  expect(await whole.ended).toBe("length");
  const paused = submit((count) => {
    if (count === 7) paused.pooled?.pause();
  });
  await expect.poll(() => paused.ids.length, { timeout: 600_000, interval: 1 }).toBe(7);
  expect(pool.load).toEqual({ running: 0, waiting: 0 });
  const other = submit();
  expect(await other.ended).toBe("length");
  expect(paused.ids).toHaveLength(7);
  paused.pooled?.resume();
  expect(await paused.ended).toBe("length");
  expect(paused.ids).toEqual(whole.ids);
  expect(other.ids).toEqual(whole.ids);
});

test("a reader that throws ends its own text with the error, and no other", async () => {
  const whole = submit();
  const broken = submit((count) => {
    if (count === 3) throw new Error("no more");
  });
  expect(await broken.ended).toEqual(new Error("no more"));
  expect(await whole.ended).toBe("length");
  expect(pool.load).toEqual({ running: 0, waiting: 0 });
});
