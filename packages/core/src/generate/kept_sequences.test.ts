import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { openScheduler, type Scheduler, type SchedulerOptions } from "./scheduler.ts";
import type { ScheduledRequest } from "./text.ts";

const recording = recordingEngine();
const { model, config } = tinyModel({ eosTokenIds: [], contextLength: 128 }, recording.engine);
const adapter = tinyAdapter(config);
const turn = Array.from({ length: 30 }, (_, i) => (7 * i) % 31);

async function answer(scheduler: Scheduler, request: Partial<ScheduledRequest>): Promise<number[]> {
  const ids: number[] = [];
  const text = scheduler.submit({ promptIds: turn, maxNewTokens: 5, adapter, ...request });
  for await (const event of text) if ("id" in event) ids.push(event.id);
  return ids;
}

/** Rows of the passes of each request, one request after another, and the answers. */
async function rowsOf(options: SchedulerOptions, ...requests: Partial<ScheduledRequest>[]) {
  const scheduler = openScheduler(model, options);
  const [rows, answers]: [number[], number[][]] = [[], []];
  for (const request of requests) {
    const before = recording.calls("embed").length;
    answers.push(await answer(scheduler, request));
    const passes = recording.calls("embed").slice(before);
    rows.push(passes.reduce((sum, [table, ids]) => sum + (table === model.embed ? ids.length : 0), 0));
  }
  await scheduler.close();
  expect([recording.live.size, recording.caches.size], "nothing is left").toEqual([0, 0]);
  return { rows, answers };
}

test("the next turn of a chat computes what is new, and what the answer's rows were", async () => {
  const [first] = (await rowsOf({}, {})).answers;
  const next = { promptIds: [...turn, ...(first ?? []), 3, 1, 4] };
  const { rows, answers } = await rowsOf({}, {}, next);
  expect(rows).toEqual([30 + 4, 5 + 3 + 4]);
  expect(answers).toEqual((await rowsOf({ keptTexts: 0 }, {}, next)).answers);
});

test.each<[string, Partial<ScheduledRequest>]>([
  ["no adapter", { adapter: undefined }],
  ["other numbers in the same adapter", { adapter: { ...adapter, params: adapter.params.map((x) => x * 1.5) } }],
  ["another scale", { scale: 0.5 }],
  ["fewer than 16 tokens in common", { promptIds: [...turn.slice(0, 15), ...turn.slice(0, 15)] }],
])("nothing is taken over for %s", async (_, other) => {
  const { rows, answers } = await rowsOf({}, {}, other);
  expect(rows).toEqual([34, 34]);
  expect(answers[1]).toEqual((await rowsOf({}, other)).answers[0]);
});

test("an adapter whose numbers change under its name shares nothing with what they were", async () => {
  const own = tinyAdapter(config);
  const scheduler = openScheduler(model);
  const before = await answer(scheduler, { adapter: own, adapterName: "mine" });
  own.params.set(own.params.map((x) => 2 * x));
  const after = await answer(scheduler, { adapter: own, adapterName: "mine" });
  await scheduler.close();
  expect(after).toEqual((await rowsOf({}, { adapter: own })).answers[0]);
  expect(after).not.toEqual(before);
});

test("texts that hold too much wait again and go on with the tokens that they would have had", async () => {
  const prompts = [0, 1, 2].map((n) => turn.map((id) => (id + n) % 31));
  const answers = async (options: SchedulerOptions) => {
    const scheduler = openScheduler(model, options);
    const before = recording.calls("kvCache").length;
    const found = await Promise.all(prompts.map((promptIds) => answer(scheduler, { promptIds, maxNewTokens: 90 })));
    await scheduler.close();
    return { found, sequences: (recording.calls("kvCache").length - before) / config.layers };
  };
  const roomy = await answers({ keptTexts: 0 });
  const narrow = await answers({ keptTexts: 0, kvTokens: 200 });
  expect(narrow.found).toEqual(roomy.found);
  expect([roomy.sequences, narrow.sequences]).toEqual([3, 5]);
});

test("a text that alone would hold too much is refused", async () => {
  const scheduler = openScheduler(model, { kvTokens: 40 });
  expect(() => scheduler.submit({ promptIds: turn, maxNewTokens: 11 })).toThrow(
    "Cannot submit a text: it may hold 41 tokens, the scheduler 40: ask for fewer",
  );
  await scheduler.close();
});
