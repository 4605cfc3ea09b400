import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { BadLogitsError, DeadlineError, InputError, QueueFullError } from "../errors.ts";
import { oneSequence, tokenLogits } from "../model/logits.ts";
import { generate } from "./generate.ts";
import { openScheduler, type SubmittedEvent, type SubmittedText } from "./scheduler.ts";
import { scoreToken } from "./scores.ts";
import type { TextRequest } from "./text.ts";

const { model, config } = tinyModel({ eosTokenIds: [] });
const adapter = tinyAdapter(config);
const request = { promptIds: [4, 9, 22], maxNewTokens: 6 };

async function collect(text: SubmittedText): Promise<{ ids: number[]; reason: string | undefined }> {
  const ids: number[] = [];
  let reason: string | undefined;
  for await (const event of text) {
    if ("id" in event) ids.push(event.id);
    else if ("finishReason" in event) reason = event.finishReason;
  }
  return { ids, reason };
}

async function alone({ promptIds, ...options }: TextRequest): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generate(model, options.adapter, promptIds, options)) ids.push(id);
  return ids;
}

test("texts are submitted while others are answered, and each gets what it gets alone", async () => {
  const scheduler = openScheduler(model, { maxRunning: 3, passTokens: 4 });
  const requests = Array.from({ length: 7 }, (_, t) => ({
    promptIds: Array.from({ length: 1 + 3 * t }, (__, i) => (5 * i + t) % config.vocabSize),
    adapter: t % 2 === 0 ? adapter : undefined,
    maxNewTokens: 3 + t,
  }));
  const early = requests.slice(0, 4).map((one) => scheduler.submit(one));
  const first = early[0]?.[Symbol.asyncIterator]();
  const begun = await first?.next();
  const late = requests.slice(4).map((one) => scheduler.submit(one));
  const rest = await Promise.all([...early.slice(1), ...late].map(collect));
  const ids = [begun?.value?.id];
  for (let next = await first?.next(); next?.value?.id !== undefined; next = await first?.next())
    ids.push(next.value.id);
  expect([ids, ...rest.map((answer) => answer.ids)]).toEqual(await Promise.all(requests.map(alone)));
  expect(rest.every(({ reason }) => reason === "length")).toBe(true);
  expect(scheduler.load).toEqual({ running: 0, waiting: 0 });
  await scheduler.close();
});

test("a text that is cancelled, or whose reader leaves, makes no further token and gives back what it held", async () => {
  const { engine, live, caches } = recordingEngine();
  const recorded = tinyModel({ eosTokenIds: [] }, engine).model;
  const scheduler = openScheduler(recorded);
  const cancelled = scheduler.submit({ ...request, adapter, maxNewTokens: 50 });
  const events: SubmittedEvent[] = [];
  for await (const event of cancelled) {
    events.push(event);
    if (events.length === 2) cancelled.cancel();
  }
  expect(events.length).toBeLessThanOrEqual(4);
  expect(events.at(-1)).toEqual({ finishReason: "cancelled" });
  for await (const _ of scheduler.submit({ ...request, maxNewTokens: 50 })) break;
  const waiting = scheduler.submit(request);
  waiting.cancel();
  expect(await collect(waiting)).toEqual({ ids: [], reason: "cancelled" });
  expect([caches.size, scheduler.load]).toEqual([0, { running: 0, waiting: 0 }]);
  await scheduler.close();
  expect(live.size).toBe(0);
});

test("stop tokens end a text with their own reason, and scores come with the tokens", async () => {
  const [first, second] = await alone(request);
  const scheduler = openScheduler(model);
  const stopped = await collect(scheduler.submit({ ...request, stopTokenIds: [second ?? -1] }));
  expect(stopped).toEqual({ ids: first === second ? [] : [first], reason: "stop" });
  for await (const event of scheduler.submit({ ...request, maxNewTokens: 1, topScores: 3 })) {
    if (!("id" in event)) continue;
    const { id, scores } = event;
    expect(scores?.top.map((one) => one.id)).toHaveLength(3);
    expect(scores?.top[0]).toEqual({ id, logProbability: scores?.logProbability });
    expect(scores?.logProbability).toBeLessThan(0);
  }
  await scheduler.close();
});

test("an adapter whose logits are not numbers fails its own text by name, and others go on", async () => {
  const broken = tinyAdapter(config);
  broken.params.fill(Number.NaN);
  const scheduler = openScheduler(model);
  const bad = scheduler.submit({ ...request, adapter: broken, name: "q1", adapterName: "mine" });
  const good = scheduler.submit({ ...request, adapter });
  const failed = collect(bad);
  await expect(failed).rejects.toThrow(BadLogitsError);
  await expect(failed).rejects.toThrow(
    'Cannot continue text "q1" under adapter "mine": the logit of token 0 at position 3 is NaN, look for numbers',
  );
  expect((await collect(good)).ids).toEqual(await alone({ ...request, adapter }));
  await scheduler.close();
});

test("generation of one text throws instead of taking token 0 from logits that are not numbers", async () => {
  const broken = tinyAdapter(config);
  broken.params.fill(Number.NaN);
  await expect(alone({ ...request, adapter: broken })).rejects.toThrow(BadLogitsError);
});

test("a text past its deadline ends with an error, one that waits too", async () => {
  const scheduler = openScheduler(model, { maxRunning: 1 });
  const running = scheduler.submit(request);
  const waiting = scheduler.submit({ ...request, deadline: 0 });
  const failed = collect(waiting);
  await expect(failed).rejects.toThrow(DeadlineError);
  await expect(failed).rejects.toThrow("Cannot finish text 2: its deadline passed after 0 new tokens");
  expect((await collect(running)).reason).toBe("length");
  const deadline = performance.now() + 1000;
  const late = scheduler.submit({ ...request, maxNewTokens: 50, deadline })[Symbol.asyncIterator]();
  await late.next();
  while (performance.now() < deadline + 1); // no round runs meanwhile
  await expect(late.next().then(() => late.next())).rejects.toThrow(
    /^Cannot finish text 3: its deadline passed after [1-9] new tokens/,
  );
  await scheduler.close();
});

test("a full queue and requests that can never be answered are refused when they are submitted", async () => {
  const scheduler = openScheduler(model, { maxRunning: 1, maxWaiting: 2 });
  const texts = Array.from({ length: 3 }, () => scheduler.submit(request));
  expect(() => scheduler.submit(request)).toThrow(QueueFullError);
  expect(() => scheduler.submit(request)).toThrow("Cannot submit a text: 0 texts are worked on and 3 wait");
  expect(() => scheduler.submit({ promptIds: [], maxNewTokens: -1, temperature: Number.NaN, topP: 2 })).toThrow(
    /the prompt has no tokens[^]*maxNewTokens is -1[^]*temperature is NaN[^]*topP is 2/,
  );
  expect(() => scheduler.submit({ ...request, promptIds: [1, 99] })).toThrow(InputError);
  expect(() => scheduler.submit({ ...request, promptIds: [1, 99] })).toThrow("token 99 is none of the 31");
  const answers = await Promise.all(texts.map(collect));
  expect(new Set(answers.map(({ ids }) => ids.join())).size).toBe(1);
  await scheduler.close();
  expect(() => scheduler.submit(request)).toThrow("the scheduler is closed");
});

test("closing cancels what is left", async () => {
  const scheduler = openScheduler(model, { maxRunning: 1 });
  const texts = [1, 2].map(() => collect(scheduler.submit({ ...request, maxNewTokens: 30 })));
  await scheduler.close();
  expect((await Promise.all(texts)).map(({ reason }) => reason)).toEqual(["cancelled", "cancelled"]);
});

test("a prompt is scored token by token, in chunks or at once, with the numbers of one pass over it", async () => {
  const promptIds = Array.from({ length: 40 }, (_, i) => (3 * i + 1) % 31);
  const logits = await tokenLogits(model, adapter, oneSequence(promptIds));
  const V = config.vocabSize;
  const expected = promptIds.slice(1).map((id, t) => scoreToken(logits.subarray(t * V, (t + 1) * V), id, 2));
  for (const passTokens of [256, 7]) {
    const scheduler = openScheduler(model, { passTokens });
    for (const maxNewTokens of [0, 2]) {
      const events: SubmittedEvent[] = [];
      const text = scheduler.submit({ promptIds, adapter, maxNewTokens, echo: true, topScores: 2 });
      for await (const event of text) events.push(event);
      expect(events[0]).toEqual({ promptScores: expected });
      expect(events.slice(1).map((event) => Object.keys(event)[0])).toEqual([
        ...Array.from({ length: maxNewTokens }, () => "id"),
        "finishReason",
      ]);
    }
    await scheduler.close();
  }
});
