/** Cells whose samples begin alike, computed once and computed for each: the same numbers, on any engine and base. */
import { describe, expect, test } from "vitest";
import type { TokenSet } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { cellGradient, packCell } from "../src/index.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { randomBits } from "../src/random.ts";
import { expectClose } from "./numeric.ts";
import { type TinyBase, tinyBases } from "./tiny_bases.ts";
import { tinyAdapter, tinyModel } from "./tiny_model.ts";

/** Samples of two templates, one of which begins like the other; two are equal, and one is nothing but the beginning. */
export function alikeTokens({ vocabSize }: ModelConfig): TokenSet {
  const some = (count: number, seed: number) =>
    Array.from({ length: count }, (_, i) => 3 + (randomBits(seed, i) % (vocabSize - 3)));
  const [first, second] = [some(6, 1), some(3, 2)];
  const samples = [
    [...first, ...some(4, 3)],
    [...first, ...second, ...some(3, 4)],
    [...first, ...second, ...some(6, 5)],
    [...first, ...second, ...some(6, 5)],
    first,
    some(5, 6),
  ];
  const offsets = Float64Array.from([0, ...samples.map((_, s) => samples.slice(0, s + 1).flat().length)]);
  // The last tokens of a template are targets too, so samples that share a row have it labelled.
  const target = Uint8Array.from(samples.flatMap((ids) => ids.map((_, i) => Number(i > 3))));
  return { ids: Int32Array.from(samples.flat()), target, offsets, hash: "" };
}
/** All of them. */
export const alike = [0, 1, 2, 3, 4, 5];

/** @param tolerance relative to the largest number of a gradient, and to the loss. */
export function describeShared(
  name: string,
  open: () => Engine | Promise<Engine>,
  tolerance: number,
  bases: readonly TinyBase[] = tinyBases,
): void {
  describe(`engine ${name}, samples that begin alike`, () => {
    test.each(bases.map(({ title, changes }) => [title, changes] as const))(
      "computed once they have the loss and gradient of a pass that computes all their tokens (%s)",
      async (_, changes) => {
        const { model, config } = tinyModel(changes, await open());
        const cell = packCell(alikeTokens(config), alike);
        for (const kind of [{}, { outputBiasTimes: "twice" as const }]) {
          const adapter = tinyAdapter(config, kind);
          const whole = await cellGradient(model, adapter, cell, 1 / 20);
          const once = await cellGradient(model, adapter, cell, 1 / 20, { sharesBeginnings: true });
          expect(Math.abs(once.lossSum / whole.lossSum - 1), "loss").toBeLessThan(tolerance);
          expectClose(once.gradient, Float64Array.from(whole.gradient), tolerance, "gradient");
        }
      },
    );
  });
}
