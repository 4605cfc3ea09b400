import { expect, test } from "vitest";
import { describeLabelled } from "../../test/labelled_rows.ts";
import { recordingEngine } from "../../test/recording_engine.ts";
import { alike, alikeTokens } from "../../test/shared_beginnings.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { packCell } from "../cell/tokens.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { normal } from "../random.ts";
import { cellGradient, cellGradients } from "./gradient.ts";

describeLabelled("reference", createReferenceEngine, 0);

const skips = { skipsUnlabelled: true };

test("queries, outputs and the MLP of the last layer run over labelled tokens, all else over all; nothing is kept", async () => {
  const { engine, calls, live } = recordingEngine();
  const { model, config } = tinyModel({}, engine);
  const cell = packCell(alikeTokens(config), alike);
  const [T, R] = [cell.ids_T.length, cell.rows_R.length];
  expect([T, R]).toEqual([63, 39]);
  await cellGradient(model, tinyAdapter(config, { promptLength: 4 }), cell, 1, skips);
  const ofLast = [T, R, R, R, R]; // keys and values, queries, output, gate and up, down
  const ofOthers = [T, T, T, T];
  const rows = calls("linear").flatMap(([, , { T: own }]) => (own === 4 ? [] : [own]));
  expect(rows).toEqual([...ofOthers, ...ofOthers, ...ofLast]);
  const back = calls("linearBackward").flatMap(([, , { T: own }]) => (own === 4 ? [] : [own]));
  expect(back).toEqual([R, R, R, T, T, T, T]); // down, gate and up, output, keys and all; the lowest adapted layer needs no input
  expect(calls("swiglu").map(([, size]) => size.T)).toEqual([T, T, R]);
  const skipped = calls("attention").map(([, , size]) => size.skips_S && [...size.skips_S]);
  expect(skipped).toEqual([undefined, undefined, [3, 3, 3, 3, 3, 3]]);
  expect(live.size).toBe(0);
});

test("cells of one pass have the bits that each has alone", async () => {
  const { model, config } = tinyModel({ qkvBias: true, outputBias: true });
  const tokens = alikeTokens(config);
  const [one, other] = [
    tinyAdapter(config, { outputBiasTimes: "twice" }),
    tinyAdapter(config, { outputBiasTimes: "once" }, { seed: 5 }),
  ];
  const tasks = [
    { adapter: one, cell: packCell(tokens, [0, 1]), scale: 0.5, ...skips },
    { adapter: other, cell: packCell(tokens, alike), scale: 0.25, sharesBeginnings: true, ...skips },
    { adapter: one, cell: packCell(tokens, [2, 3, 5]), scale: 1, ...skips },
  ];
  const together = await cellGradients(model, tasks);
  for (const [n, { adapter, cell, scale, ...more }] of tasks.entries()) {
    expect(together[n], `cell ${n}`).toEqual(await cellGradient(model, adapter, cell, scale, more));
  }
});

test.each([
  { fusion: "global", featureSize: 7, projectionSize: 5 },
  { fusion: "query", featureSize: 7, embedSize: 4, blocks: 1, heads: 2, mlpSize: 3, blockEps: 1e-5, normEps: 1e-5 },
] as const)("images of the fusion $fusion have the bits of a pass that computes all tokens", async (sizes) => {
  const { model, config } = tinyModel();
  const vision = { ...sizes, missingImage: "none" } as const;
  const adapter = tinyAdapter(config, { vision, gateSharing: "per-head", gateActivation: "tanh" });
  for (const part of adapter.layout.table) {
    if (part.layer !== undefined) continue;
    partNumbers(part, adapter.params).forEach((_, i, numbers) => (numbers[i] = 0.5 * normal(9, part.offset, i)));
  }
  const rows = { size: 7, values: Float32Array.from({ length: 14 }, (_, i) => normal(8, i)) };
  const tokens = { ...alikeTokens(config), images: { rows, rowOf: Int32Array.of(-1, 0, 1, 1, -1, 0) } };
  const cell = packCell(tokens, alike);
  const all = await cellGradient(model, adapter, cell, 1 / 20);
  const some = await cellGradient(model, adapter, cell, 1 / 20, skips);
  expect(some.lossSum).toBe(all.lossSum);
  expect(some.gradient.map((x) => x + 0)).toEqual(all.gradient.map((x) => x + 0));
});
