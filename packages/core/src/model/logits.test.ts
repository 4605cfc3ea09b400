import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { packCell } from "../cell/tokens.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { generate } from "../generate/generate.ts";
import { loadWeights, readModelConfig } from "../node.ts";
import { createModel } from "./decoder.ts";
import { cellLosses, sum } from "./gradient.ts";
import { oneSequence, tokenLogits } from "./logits.ts";

test("logits of chosen rows are those rows of all logits", async () => {
  const { model, config } = tinyModel();
  const adapter = tinyAdapter(config);
  const V = config.vocabSize;
  const tokens = oneSequence([3, 1, 4, 1, 5]);
  const all = await tokenLogits(model, adapter, tokens);
  expect(all).toHaveLength(5 * V);
  const some = await tokenLogits(model, adapter, tokens, Int32Array.of(1, 4));
  expect(some).toEqual(Float32Array.from([...all.subarray(V, 2 * V), ...all.subarray(4 * V)]));
});

test("one sequence counts its positions from the given start", () => {
  const { ids_T, positions_T, cuSeqlens } = oneSequence([8, 9], 5);
  expect([ids_T, positions_T, cuSeqlens]).toEqual([Int32Array.of(8, 9), Int32Array.of(5, 6), Int32Array.of(0, 2)]);
});

interface ReferenceCase {
  readonly prompt: string;
  readonly ids: number[];
  readonly mean_nll: number | null;
  readonly last_logits_top5: [id: number, logit: number][];
  readonly last_logits_first8: number[];
  readonly greedy_ids: number[];
}

/** A real model: 260 thousand parameters, trained on stories; numbers from a float64 forward in numpy. */
const data = "data/stories260K";
const reason = absent(data);
const cases: ReferenceCase[] =
  reason === "" ? JSON.parse(readFileSync(sharedPath(`${data}/reference.json`), "utf8")).cases : [];

describe.skipIf(reason !== "")(`stories260K${reason}`, () => {
  const folder = sharedPath(data);
  const engine = createReferenceEngine();
  const load = async () => {
    const config = await readModelConfig(folder);
    return createModel(engine, config, await loadWeights(folder, config, { weightDtypes: engine.weightDtypes }));
  };

  test.each(cases)("logits and greedy text after “$prompt”", async ({ ids, greedy_ids, ...expected }) => {
    const model = await load();
    const logits = await tokenLogits(model, undefined, oneSequence(ids), Int32Array.of(ids.length - 1));
    for (const [id, logit] of expected.last_logits_top5) expect(Math.abs(logits[id] - logit)).toBeLessThan(1e-4);
    for (const [id, logit] of expected.last_logits_first8.entries())
      expect(Math.abs(logits[id] - logit)).toBeLessThan(1e-4);
    const greedy: number[] = [];
    for await (const id of generate(model, undefined, ids, { maxNewTokens: greedy_ids.length })) greedy.push(id);
    expect(greedy).toEqual(greedy_ids);
  });

  test.each(cases.flatMap(({ ids, mean_nll }) => (mean_nll === null ? [] : [{ ids, mean_nll }])))(
    "mean loss of $ids.length tokens",
    async ({ ids, mean_nll }) => {
      const target = new Uint8Array(ids.length).fill(1);
      const tokens = { ids: Int32Array.from(ids), target, offsets: Float64Array.of(0, ids.length), hash: "" };
      const losses = await cellLosses(await load(), undefined, packCell(tokens, [0]));
      expect(losses).toHaveLength(ids.length - 1);
      expect(sum(losses) / losses.length).toBeCloseTo(mean_nll, 5);
    },
  );
});
