/**
 * Random schedules of texts on one model: they join and are cancelled at any round, prompts go in chunks of any size, and the scheduler
 * dies and another goes on. Each text must have the tokens and the log-probabilities, bit for bit, that it has alone.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { Engine } from "../src/engine/engine.ts";
import { openRounds, type RoundOptions } from "../src/generate/rounds.ts";
import type { ScheduledRequest } from "../src/generate/text.ts";
import type { ModelConfig } from "../src/model/config.ts";
import type { DecoderModel } from "../src/model/decoder.ts";
import { openPromptCache } from "../src/model/prompt_cache.ts";
import { randomBits } from "../src/random.ts";
import { tinyAdapter, tinyModel } from "./tiny_model.ts";

/** Large enough that passes of 1, 8 and 60 tokens take different ways through blocked kernels. */
const size = { vocabSize: 96, hiddenSize: 80, intermediateSize: 112, heads: 8, headDim: 16, contextLength: 96 };

/** Tests random schedules on an engine whose traits say `keepsRowBits`. */
export function describeSchedules(
  name: string,
  open: () => Engine | Promise<Engine>,
  { runs, changes = size }: { runs: number; changes?: Partial<ModelConfig> },
): void {
  test(`engine ${name}: in ${runs} random schedules each text has the tokens and log-probabilities that it has alone`, async () => {
    const { model, config } = tinyModel({ ...changes, eosTokenIds: [] }, await open());
    const adapters = [
      undefined,
      tinyAdapter(config),
      tinyAdapter(config, { promptLength: 10, adaptedLayers: 1 }, { seed: 6 }),
      tinyAdapter(config, { adaptedLayers: 3, gateSharing: "per-head", gateActivation: "tanh" }, { seed: 8 }),
    ];
    const any = schedules(model, adapters, { prompt: Math.floor(0.6 * config.contextLength), answer: 9 });
    const property = fc.asyncProperty(any, (schedule) => expectAsAlone(model, schedule));
    await fc.assert(property, { numRuns: runs, seed: 7 });
  });
}

/** What a text gave: tokens with their log-probabilities and those of the two most likely ones, and why it ended. */
interface Outcome {
  readonly tokens: { id: number; scores: unknown }[];
  /** Once, or never. */
  readonly promptScores: unknown[];
  end: string | undefined;
}

/** A text, and when it comes and goes. */
interface PlannedText {
  readonly request: ScheduledRequest;
  readonly joinsAt: number;
  /** The round before which it is cancelled. */
  readonly cancelledAt: number | undefined;
}

export interface Schedule extends RoundOptions {
  readonly texts: readonly PlannedText[];
  /** Rounds after which the scheduler dies, and another goes on with what is left. */
  readonly deaths: readonly number[];
}

/** Schedules over these adapters; undefined is the base. */
export function schedules(
  { config }: DecoderModel,
  adapters: readonly (AdapterState | undefined)[],
  limits: { prompt: number; answer: number },
): fc.Arbitrary<Schedule> {
  const request = fc
    .record({
      seed: fc.nat(1000),
      length: fc.integer({ min: 1, max: limits.prompt }),
      adapter: fc.constantFrom(...adapters),
      scale: fc.constantFrom(1, 1, 0.5),
      temperature: fc.constantFrom(0, 1.3),
      maxNewTokens: fc.constantFrom(1, 5, limits.answer, limits.answer),
      user: fc.constantFrom("a", "b"),
      echo: fc.constantFrom(false, false, true),
    })
    .map(({ seed, length, adapter, scale, temperature, maxNewTokens, user, echo }): ScheduledRequest => {
      // Few beginnings, so that texts have them in common.
      const promptIds = Array.from({ length }, (_, i) => randomBits(i < 24 ? seed % 3 : seed, i) % config.vocabSize);
      return {
        promptIds,
        adapter,
        scale,
        temperature,
        topP: 0.95,
        seed,
        maxNewTokens,
        user,
        echo,
        eosTokenIds: [],
        topScores: 2,
      };
    });
  const text = fc.record({
    request,
    joinsAt: fc.nat(5),
    cancelledAt: fc.constantFrom(undefined, undefined, undefined, undefined, 2, 6, 11),
  });
  return fc.record({
    texts: fc.array(text, { minLength: 5, maxLength: 10, size: "max" }),
    deaths: fc.array(fc.nat(14), { maxLength: 2 }),
    maxRunning: fc.constantFrom(1, 4, 8, 8),
    passTokens: fc.constantFrom(5, 17, 64, 200),
    kvTokens: fc.constantFrom(limits.prompt + limits.answer, 2 * limits.prompt, 1e6),
    keptTexts: fc.constantFrom(0, 2, 8),
  });
}

/** Runs a schedule, and compares each text that was not cancelled with the same text alone. */
export async function expectAsAlone(model: DecoderModel, schedule: Schedule): Promise<void> {
  const together = await outcomes(model, schedule);
  for (const [t, { request, cancelledAt }] of schedule.texts.entries()) {
    const [alone] = await outcomes(model, {
      texts: [{ request, joinsAt: 0, cancelledAt: undefined }],
      deaths: [],
      maxRunning: 1,
      passTokens: Number.POSITIVE_INFINITY,
      kvTokens: Number.POSITIVE_INFINITY,
      keptTexts: 0,
    });
    const { tokens, promptScores, end } = together[t] ?? { tokens: [] };
    const isWhole = cancelledAt === undefined || end !== "cancelled";
    const expected = isWhole ? alone : { tokens: alone?.tokens.slice(0, tokens.length), promptScores, end };
    expect({ tokens, promptScores, end }, `text ${t}`).toEqual(expected);
  }
}

async function outcomes(model: DecoderModel, { texts, deaths, ...options }: Schedule): Promise<Outcome[]> {
  const cache = openPromptCache(model);
  const found = texts.map((): Outcome => ({ tokens: [], promptScores: [], end: undefined }));
  let rounds = openRounds(model, cache, options);
  let textOf = new Map<number, number>();
  const isLeft = () => found.some(({ end }) => end === undefined);
  const submit = (t: number) => {
    const answerIds = found[t]?.tokens.map(({ id }) => id) ?? [];
    const request = texts[t]?.request;
    if (request) textOf.set(rounds.add({ ...request, answerIds }), t);
  };
  for (let round = 0; isLeft(); round++) {
    if (deaths.includes(round)) {
      rounds.close();
      rounds = openRounds(model, cache, options);
      textOf = new Map();
      for (const [t, { joinsAt }] of texts.entries()) if (joinsAt < round && found[t]?.end === undefined) submit(t);
    }
    for (const [t, { joinsAt, cancelledAt }] of texts.entries()) {
      if (joinsAt === round) submit(t);
      if (cancelledAt !== undefined && cancelledAt <= round)
        for (const [n, own] of textOf) if (own === t) rounds.cancel(n);
    }
    for (const { text, ...event } of await rounds.run()) {
      const own = found[textOf.get(text) ?? -1];
      if (!own) throw new Error(`an event of a text that is not there: ${text}`);
      expect(own.end, "nothing comes after the end").toBeUndefined();
      if ("error" in event) throw event.error;
      if ("id" in event) own.tokens.push({ id: event.id, scores: event.scores });
      else if ("promptScores" in event) own.promptScores.push(event.promptScores);
      else own.end = event.finishReason;
    }
  }
  rounds.close();
  cache.close();
  return found;
}
