/** Sequences with adapters of their own in one pass, on any engine: each as if it were alone (PEFT has no such batch). */
import { describe, expect, test } from "vitest";
import type { AdapterState } from "../src/adapter/kinds/kind.ts";
import type { TuningShape } from "../src/adapter/layout.ts";
import type { Engine } from "../src/engine/engine.ts";
import {
  type BatchEvent,
  cellGradient,
  cellGradients,
  generate,
  generateBatch,
  packCell,
  type TextRequest,
} from "../src/index.ts";
import { mixedLogits, oneSequence, packSequences, tokenLogits } from "../src/model/logits.ts";
import { openPromptCache } from "../src/model/prompt_cache.ts";
import { randomBits } from "../src/random.ts";
import { expectClose } from "./numeric.ts";
import { gateKinds, tinyAdapter, tinyModel, tinyTokens } from "./tiny_model.ts";

/** Large enough that passes of 1, 8 and 100 tokens take different ways through blocked kernels. */
const size = { vocabSize: 96, hiddenSize: 80, intermediateSize: 112, heads: 8, headDim: 16, eosTokenIds: [] };
const maps = ["q", "k", "v", "o", "gate", "up", "down"] as const;
/** What the four adapters tune of the base: nothing, or two of them in two ways. */
const tunings = {
  "four adapters": [],
  "two adapters and two that tune the base": [
    { tuning: { maps, vectors: "scale", norms: true, head: true } },
    {},
    { tuning: { maps: ["o", "up", "k"], vectors: "bias", norms: false } },
  ],
} as const satisfies Record<string, readonly { tuning?: TuningShape }[]>;
/** Of the four adapters, by sequence; undefined is the base. */
const own = [0, 1, 1, undefined, 2, 3, 0, 3];

/**
 * @param tolerance on logits, relative to their largest; 0 asks for the same bits.
 * @param training the same of losses and gradients, whose rows are summed in packed order.
 */
export function describeMixed(
  name: string,
  open: () => Engine | Promise<Engine>,
  tolerance: number,
  training: number = tolerance,
): void {
  describe.each(Object.entries(tunings))(`engine ${name}, eight sequences with %s`, (_which, tuned) => {
    const setup = async () => {
      const { model, config } = tinyModel(size, await open());
      const adapters = gateKinds.map((kind, i) =>
        tinyAdapter(
          config,
          { ...kind, ...tuned[i], promptLength: 1 + 3 * i, adaptedLayers: 1 + (i % 3) },
          { seed: 20 + i },
        ),
      );
      const prompts = own.map((_, s) =>
        Array.from({ length: 3 + 9 * (s % 4) }, (__, i) => randomBits(9, s, i) % size.vocabSize),
      );
      const adapterOf = (s: number): AdapterState | undefined => adapters[own[s] ?? -1];
      return { model, config, adapters, prompts, adapterOf };
    };

    test(`one pass has the ${tolerance === 0 ? "bits" : "numbers"} of eight passes`, async () => {
      const { model, adapters, prompts, adapterOf } = await setup();
      const cache = openPromptCache(model);
      const leases = await Promise.all(adapters.map((adapter) => cache.lease(adapter)));
      const chosen = own.map((a) => (a === undefined ? undefined : { prompts: leases[a].prompts, scale: 1 }));
      const mixed = await mixedLogits(model, chosen, packSequences(prompts.map((ids) => ({ ids }))));
      let row = 0;
      for (const [s, ids] of prompts.entries()) {
        const alone = await tokenLogits(model, adapterOf(s), oneSequence(ids));
        const part = mixed.slice(row, (row += alone.length));
        expectClose(part, Float64Array.from(alone), tolerance, `sequence ${s}`);
      }
      cache.close();
    });

    test(`one training pass has the ${training === 0 ? "bits" : "numbers"} of a pass for each adapter`, async () => {
      const { model, config, adapters, prompts } = await setup();
      // Cells of 2 to 34 tokens, adapters of 1 to 3 layers and 1 to 10 prompts, two cells of one adapter.
      const cells = own.map((a, s) => {
        const tokens = tinyTokens(config, [s === 5 ? 2 : prompts[s].length, 2 + (s % 3)], s);
        return { adapter: adapters[a ?? 2], cell: packCell(tokens, s % 2 === 0 ? [0] : [0, 1]), scale: 1 / (3 + s) };
      });
      const together = await cellGradients(model, cells);
      for (const [n, { adapter, cell, scale }] of cells.entries()) {
        const alone = await cellGradient(model, adapter, cell, scale);
        const off = Math.abs(together[n].lossSum / alone.lossSum - 1);
        expect(off, `loss of cell ${n}`).toBeLessThanOrEqual(training);
        expectClose(together[n].gradient, Float64Array.from(alone.gradient), training, `cell ${n}`);
      }
    });

    const isCoarse = tuned.length > 0 && tolerance > 1e-3;
    const why = isCoarse ? " (skipped: beside tuned maps, products give numbers of another type)" : "";
    test.skipIf(isCoarse)(`texts that are generated together are those that are generated alone${why}`, async () => {
      const { model, prompts, adapterOf } = await setup();
      const requests = prompts.map((promptIds, s): TextRequest => {
        return { promptIds, adapter: adapterOf(s), maxNewTokens: 4 + 3 * s, temperature: s % 3, seed: s };
      });
      const together = requests.map((): number[] => []);
      const add = (event: BatchEvent) => void ("id" in event && together[event.request].push(event.id));
      for await (const event of generateBatch(model, requests, { maxTexts: 5 })) add(event);
      for (const [s, { promptIds, adapter, ...options }] of requests.entries()) {
        const alone: number[] = [];
        for await (const id of generate(model, adapter, promptIds, options)) alone.push(id);
        expect(together[s], `text ${s}`).toEqual(alone);
      }
    });
  });
}
