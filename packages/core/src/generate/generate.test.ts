import { expect, test } from "vitest";
import { recordingEngine } from "../../test/recording_engine.ts";
import { tinyBases } from "../../test/tiny_bases.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import { InputError } from "../errors.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { oneSequence, tokenLogits } from "../model/logits.ts";
import { type GenerateOptions, generate, openSession } from "./generate.ts";
import { sampleToken } from "./sample.ts";
import type { FinishReason } from "./text.ts";

const prompt = [4, 9, 22, 0, 17];

async function collect(
  tokens: AsyncGenerator<number, FinishReason, void>,
): Promise<{ ids: number[]; reason: FinishReason }> {
  const ids: number[] = [];
  for (;;) {
    const next = await tokens.next();
    if (next.done) return { ids, reason: next.value };
    ids.push(next.value);
  }
}

/** The same without a cache: all tokens again at every step. */
async function recomputed(
  model: DecoderModel,
  adapter: AdapterState | undefined,
  options: GenerateOptions,
): Promise<number[]> {
  const ids = [...prompt];
  while (ids.length < prompt.length + options.maxNewTokens) {
    const logits = await tokenLogits(model, adapter, oneSequence(ids), Int32Array.of(ids.length - 1));
    ids.push(sampleToken(logits, ids.length, options));
  }
  return ids.slice(prompt.length);
}

test.each(tinyBases)(
  "cached generation gives the tokens of uncached generation ($title) [P10, B5]",
  async ({ changes }) => {
    const { model, config } = tinyModel({ ...changes, eosTokenIds: [] });
    for (const adapter of [undefined, tinyAdapter(config, { gateSharing: "per-head", gateActivation: "tanh" })]) {
      for (const options of [{ maxNewTokens: 20 }, { maxNewTokens: 20, temperature: 1.5, topP: 0.95, seed: 8 }]) {
        const { ids, reason } = await collect(generate(model, adapter, prompt, options));
        expect(reason).toBe("length");
        expect(ids).toEqual(await recomputed(model, adapter, options));
      }
    }
  },
);

test("a pass of generation holds no more numbers, however many layers it goes through", async () => {
  const peaks: number[] = [];
  for (const layers of [2, 8]) {
    const { engine, takePeak } = recordingEngine();
    const { model } = tinyModel({ layers, eosTokenIds: [] }, engine);
    takePeak();
    await collect(generate(model, undefined, prompt, { maxNewTokens: 2 }));
    peaks.push(takePeak());
  }
  expect(peaks[0]).toBeGreaterThan(0);
  expect(peaks[1]).toBe(peaks[0]);
});

test("a session has the bits of one pass, however the tokens are fed", async () => {
  const { model, config } = tinyModel();
  const adapter = tinyAdapter(config);
  const expected = await tokenLogits(model, adapter, oneSequence(prompt), Int32Array.of(4));
  for (const pieces of [[prompt], [prompt.slice(0, 2), prompt.slice(2)], prompt.map((id) => [id])]) {
    const session = await openSession(model, adapter, prompt.length);
    let last = new Float32Array(0);
    for (const piece of pieces) last = Float32Array.from(await session.append(piece));
    expect(session.length).toBe(5);
    expect(last).toEqual(expected);
    await session.close();
  }
});

test("the parameters are read once: changing them in between does not mix two adapters in one text", async () => {
  const { model, config } = tinyModel({ eosTokenIds: [] });
  const adapter = tinyAdapter(config);
  const expected = await collect(generate(model, adapter, prompt, { maxNewTokens: 8 }));
  const tokens = generate(model, adapter, prompt, { maxNewTokens: 8 });
  const first = await tokens.next();
  adapter.params.fill(3);
  expect([first.value, ...(await collect(tokens)).ids]).toEqual(expected.ids);
});

test("the same seed gives the same text, another seed another one", async () => {
  const { model } = tinyModel({ eosTokenIds: [] });
  const text = async (seed: number) => {
    return (await collect(generate(model, undefined, prompt, { maxNewTokens: 16, temperature: 2, seed }))).ids;
  };
  expect(await text(1)).toEqual(await text(1));
  expect(await text(1)).not.toEqual(await text(2));
});

test("generation ends at an end token, at its length and at the end of the context, and says which", async () => {
  const { model } = tinyModel({ contextLength: 12, eosTokenIds: [] });
  const { ids, reason } = await collect(generate(model, undefined, prompt, { maxNewTokens: 100 }));
  expect(reason).toBe("context");
  expect(ids).toHaveLength(12 - prompt.length + 1); // the last one is known, but nothing can follow it

  const end = ids[4];
  const before = ids.slice(0, ids.indexOf(end));
  const options = { maxNewTokens: 100, eosTokenIds: [end] };
  expect(await collect(generate(model, undefined, prompt, options))).toEqual({ ids: before, reason: "eos" });
  const ending = tinyModel({ contextLength: 12, eosTokenIds: [end] }).model;
  expect(await collect(generate(ending, undefined, prompt, { maxNewTokens: 100 }))).toEqual({
    ids: before,
    reason: "eos",
  });

  expect(await collect(generate(model, undefined, prompt, { maxNewTokens: 3 }))).toEqual({
    ids: ids.slice(0, 3),
    reason: "length",
  });
  expect(await collect(generate(model, undefined, prompt, { maxNewTokens: 0 }))).toEqual({ ids: [], reason: "length" });
});

test("a prompt that is empty or leaves no room is refused", async () => {
  const { model } = tinyModel({ contextLength: 8 });
  const start = (length: number) =>
    generate(
      model,
      undefined,
      Array.from({ length }, () => 1),
      { maxNewTokens: 1 },
    ).next();
  await expect(start(0)).rejects.toThrow(
    new InputError("Cannot generate", "the prompt has no tokens, give at least one"),
  );
  await expect(start(8)).rejects.toThrow(InputError);
  await expect(start(8)).rejects.toThrow("the prompt has 8 tokens, the model's context is 8");
  await expect(start(7)).resolves.toMatchObject({ done: false });
});

test.each<
  [how: string, leave: (tokens: AsyncGenerator<number, FinishReason, void>, stop: AbortController) => Promise<unknown>]
>([
  ["to its end", (tokens) => collect(tokens)],
  [
    "to an early break",
    async (tokens) => {
      for await (const _ of tokens) break;
    },
  ],
  [
    "until an abort",
    async (tokens, stop) => {
      await tokens.next();
      stop.abort(new Error("enough"));
      await expect(tokens.next()).rejects.toThrow("enough");
    },
  ],
  [
    "to a failure of the consumer",
    async (tokens) => {
      await expect(tokens.throw(new Error("broken pipe"))).rejects.toThrow("broken pipe");
    },
  ],
  [
    "to a token outside the vocabulary",
    async (tokens) => {
      await collect(tokens);
      await expect(generate(recorded.model, undefined, [3, 99], { maxNewTokens: 2 }).next()).rejects.toThrow(
        "Cannot embed token 99",
      );
    },
  ],
])("generation run %s leaves nothing behind, and the engine works on", async (_, leave) => {
  const { model, live, caches } = recorded;
  const adapter = tinyAdapter(model.config);
  const stop = new AbortController();
  await leave(generate(model, adapter, prompt, { maxNewTokens: 6, signal: stop.signal }), stop);
  expect(live.size).toBe(0);
  expect(caches.size).toBe(0);
  expect((await tokenLogits(model, adapter, oneSequence(prompt))).every(Number.isFinite)).toBe(true);
});

const recording = recordingEngine();
const recorded = { ...recording, model: tinyModel({ eosTokenIds: [] }, recording.engine).model };

test("while a text is being generated, its caches and prompts live; a signal aborted before the start stops it", async () => {
  const { model, live, caches } = recorded;
  const adapter = tinyAdapter(model.config);
  const tokens = generate(model, adapter, prompt, { maxNewTokens: 6 });
  await tokens.next();
  expect(caches.size).toBe(model.config.layers);
  expect(live.size).toBe(adapter.layout.shape.adaptedLayers);
  await tokens.return("stop");
  expect([live.size, caches.size]).toEqual([0, 0]);
  const aborted = generate(model, adapter, prompt, { maxNewTokens: 6, signal: AbortSignal.abort() });
  await expect(aborted.next()).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
  expect([live.size, caches.size]).toEqual([0, 0]);
});

test("a session holds its caches and prompts until it is closed", async () => {
  const { model, live, caches } = recorded;
  for (const adapter of [tinyAdapter(model.config), undefined]) {
    const session = await openSession(model, adapter, prompt.length + 2);
    await session.append(prompt);
    expect(session.length).toBe(prompt.length);
    expect(caches.size).toBe(model.config.layers);
    expect(live.size).toBe(adapter?.layout.shape.adaptedLayers ?? 0);
    await session.close();
    expect([live.size, caches.size]).toEqual([0, 0]);
  }
});

test("two texts may be generated at once on one engine", async () => {
  const { model, config } = tinyModel({ eosTokenIds: [] });
  const [one, two] = [tinyAdapter(config), tinyAdapter(config, { promptLength: 5 }, { seed: 6 })];
  const text = (adapter: AdapterState) => collect(generate(model, adapter, prompt, { maxNewTokens: 10 }));
  const alone = [await text(one), await text(two)];
  expect(await Promise.all([text(one), text(two)])).toEqual(alone);
});

test("a session that gets no memory for its caches gives back what it had", async () => {
  const { engine, live, caches } = recordingEngine();
  let made = 0;
  const small = new Proxy(engine, {
    get: (target, name: keyof typeof engine) =>
      name === "kvCache" && ++made > 1
        ? () => {
            throw new InputError("Cannot run this", "its memory ends here");
          }
        : target[name],
  });
  const { model } = tinyModel({}, small);
  await expect(openSession(model, tinyAdapter(model.config), 8)).rejects.toThrow("its memory ends here");
  expect([made, live.size, caches.size]).toEqual([2, 0, 0]);
});
