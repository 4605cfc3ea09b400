import { describe, expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { InputError } from "../errors.ts";
import type { BatchEvent } from "./batch.ts";
import { generate, generateBatch } from "./generate.ts";
import type { FinishReason, TextRequest } from "./text.ts";

const { model, config } = tinyModel({ eosTokenIds: [] });
/** Four adapters of different lengths, layers and gates. */
const adapters = [
  tinyAdapter(config),
  tinyAdapter(config, { promptLength: 5, adaptedLayers: 1 }, { seed: 6 }),
  tinyAdapter(config, { promptLength: 1, adaptedLayers: 3, gateSharing: "per-head" }, { seed: 7 }),
  tinyAdapter(config, { adaptedLayers: 3, gateActivation: "tanh" }, { seed: 8 }),
];
/** Eight texts: prompts, lengths, sampling, adapters and scales all differ; two are the base. */
const requests: TextRequest[] = [
  { promptIds: [4, 9, 22], adapter: adapters[0], maxNewTokens: 9 },
  { promptIds: [7, 1, 30, 2, 2, 5], adapter: adapters[1], maxNewTokens: 4, scale: 0.5 },
  { promptIds: [4, 9, 22], maxNewTokens: 12 },
  { promptIds: [11], adapter: adapters[2], maxNewTokens: 7, temperature: 1.5, seed: 3 },
  { promptIds: [4, 9, 22], adapter: adapters[0], maxNewTokens: 6, scale: 0.25, temperature: 2, topP: 0.9, seed: 1 },
  { promptIds: [0, 13], adapter: adapters[3], maxNewTokens: 1 },
  { promptIds: [19, 19, 19, 19], adapter: adapters[3], maxNewTokens: 10 },
  { promptIds: [4, 9, 22], adapter: adapters[1], maxNewTokens: 8, scale: 0 },
];

interface Answer {
  readonly ids: number[];
  reason?: FinishReason;
}

async function collect(events: AsyncGenerator<BatchEvent, void, void>, count: number): Promise<Answer[]> {
  const answers = Array.from({ length: count }, (): Answer => ({ ids: [] }));
  for await (const event of events) {
    const answer = answers[event.request];
    expect(answer.reason, "nothing comes after the end").toBeUndefined();
    if ("id" in event) answer.ids.push(event.id);
    else answer.reason = event.finishReason;
  }
  return answers;
}

async function alone({ adapter, promptIds, ...options }: TextRequest): Promise<Answer> {
  const answer: Answer = { ids: [] };
  const tokens = generate(model, adapter, promptIds, options);
  for (;;) {
    const next = await tokens.next();
    if (next.done) return { ...answer, reason: next.value };
    answer.ids.push(next.value);
  }
}

test.each([1, 2, 3, 8, 16])(
  "eight texts with four adapters, %i at a time, get the tokens that they get alone [P7]",
  async (maxTexts) => {
    const expected = await Promise.all(requests.map(alone));
    expect(await collect(generateBatch(model, requests, { maxTexts }), requests.length)).toEqual(expected);
    expect(new Set(expected.map(({ ids }) => ids.slice(0, 4).join())).size, "they differ").toBeGreaterThan(4);
    expect(expected[7]?.ids, "a scale of 0 is the base").toEqual(expected[2]?.ids.slice(0, 8));
  },
);

test("each text ends in its own way: at its length, an end token, the end of the context", async () => {
  const small = tinyModel({ eosTokenIds: [], contextLength: 12 }).model;
  const [first] = await collect(generateBatch(small, [{ promptIds: [4, 9], maxNewTokens: 5 }]), 1);
  const end = first?.ids[3] ?? -1;
  const answers = await collect(
    generateBatch(small, [
      { promptIds: [4, 9], maxNewTokens: 5 },
      { promptIds: [4, 9], maxNewTokens: 50, eosTokenIds: [end] },
      { promptIds: [4, 9], maxNewTokens: 50 },
      { promptIds: [4, 9], maxNewTokens: 0 },
    ]),
    4,
  );
  expect(answers.map(({ reason }) => reason)).toEqual(["length", "eos", "context", "length"]);
  expect(answers[1]?.ids).toEqual(first?.ids.slice(0, first.ids.indexOf(end)));
  expect(answers[2]?.ids).toHaveLength(11);
  expect(answers[3]?.ids).toEqual([]);
});

test("reports all problems of the requests at once, before anything runs", async () => {
  const texts = [
    { promptIds: [], maxNewTokens: 1 },
    { promptIds: [1], maxNewTokens: 1, scale: 1.5 },
    { promptIds: [1], maxNewTokens: 1 },
    { promptIds: Array.from({ length: 64 }, () => 1), maxNewTokens: 1, scale: Number.NaN },
  ];
  const started = generateBatch(model, texts).next();
  await expect(started).rejects.toThrow(InputError);
  await expect(started).rejects.toThrow(/text 1: the prompt has no tokens[^]*text 2: the scale is 1\.5[^]*text 4: the/);
  await expect(started).rejects.toThrow("text 4: the scale is NaN, use 0 (the base) to 1 (the adapter)");
});

describe("memory", () => {
  const { engine, live, caches, calls } = recordingEngine();
  const recorded = tinyModel({ eosTokenIds: [] }, engine).model;

  test("texts hold a cache each while they run, share the prompts of an adapter, and leave nothing", async () => {
    const events = generateBatch(recorded, requests, { maxTexts: 3 });
    await events.next();
    expect(caches.size).toBe(3 * config.layers);
    expect(live.size, "prompts of adapters 0 and 1").toBe(2 + 1);
    await collect(events, requests.length);
    expect([live.size, caches.size]).toEqual([0, 0]);
    const twice = [requests[0], requests[4], requests[0]] as TextRequest[];
    const before = calls("linear").length;
    const shared = generateBatch(recorded, twice);
    await shared.next();
    const prepared = calls("linear")
      .slice(before)
      .filter(([, , { T, rows }]) => T === 3 && rows !== undefined);
    expect(prepared, "keys and values of two layers, once for three texts").toHaveLength(2);
    await shared.return();
  });

  test.each<[string, (events: AsyncGenerator<BatchEvent, void, void>, stop: AbortController) => Promise<unknown>]>([
    ["an early break", (events) => events.return()],
    [
      "an abort",
      (events, stop) => {
        stop.abort(new Error("enough"));
        return expect(collect(events, requests.length)).rejects.toThrow("enough");
      },
    ],
    ["a failure of the consumer", (events) => expect(events.throw(new Error("broken"))).rejects.toThrow("broken")],
  ])("%s leaves nothing behind", async (_, leave) => {
    const stop = new AbortController();
    const events = generateBatch(recorded, requests, { signal: stop.signal });
    for (let i = 0; i < 11; i++) await events.next();
    await leave(events, stop);
    expect([live.size, caches.size]).toEqual([0, 0]);
  });
});
