/** A last layer for labelled tokens alone and one for all tokens: the same numbers, on any engine and base. */
import { describe, expect, test } from "vitest";
import type { TokenSet } from "../src/cell/tokens.ts";
import type { Engine } from "../src/engine/engine.ts";
import { type CellTask, cellGradient, packCell } from "../src/index.ts";
import { expectClose } from "./numeric.ts";
import { alike, alikeTokens } from "./shared_beginnings.ts";
import { type TinyBase, tinyBases } from "./tiny_bases.ts";
import { tinyAdapter, tinyModel } from "./tiny_model.ts";

/** Where targets are in a sample, and an adapter: answers at the end, turns of a chat, a single token of all samples. */
const cases = [
  { kind: "answers", isTarget: (i: number) => i > 5, adapter: {} },
  { kind: "turns", isTarget: (i: number) => i % 5 > 2, adapter: { outputBiasTimes: "twice" } },
  { kind: "one", isTarget: (i: number, sample: number) => sample === 1 && i === 7, adapter: { adaptedLayers: 1 } },
] as const;

function tokensWith(tokens: TokenSet, isTarget: (i: number, sample: number) => boolean): TokenSet {
  const target = tokens.target.slice();
  for (let s = 0; s + 1 < tokens.offsets.length; s++) {
    for (let t = tokens.offsets[s]; t < tokens.offsets[s + 1]; t++) {
      target[t] = Number(isTarget(t - tokens.offsets[s], s));
    }
  }
  return { ...tokens, target };
}

/** @param tolerance relative to the largest number of a gradient, and to the loss; 0: the same bits. */
export function describeLabelled(
  name: string,
  open: () => Engine | Promise<Engine>,
  tolerance: number,
  bases: readonly TinyBase[] = tinyBases,
): void {
  describe(`engine ${name}, a last layer for labelled tokens alone`, () => {
    test.each(bases.map(({ title, changes }) => [title, changes] as const))(
      `has the ${tolerance === 0 ? "bits" : "loss and gradient"} of one for all tokens (%s)`,
      async (_, changes) => {
        const { model, config } = tinyModel(changes, await open());
        for (const { kind, isTarget, adapter: more } of cases) {
          const cell = packCell(tokensWith(alikeTokens(config), isTarget), alike);
          const adapter = tinyAdapter(config, more);
          for (const sharesBeginnings of [false, true]) {
            const pass = (own: Partial<CellTask>) =>
              cellGradient(model, adapter, cell, 1 / 20, { sharesBeginnings, ...own });
            const [all, some] = [await pass({}), await pass({ skipsUnlabelled: true })];
            const title = `${kind}, ${sharesBeginnings ? "shared" : "own"} beginnings`;
            expect(
              all.gradient.some((x) => x !== 0),
              title,
            ).toBe(true);
            expect(Math.abs(some.lossSum / all.lossSum - 1), title).toBeLessThanOrEqual(tolerance);
            expectClose(some.gradient, Float64Array.from(all.gradient), tolerance, title);
          }
        }
      },
    );
  });
}
