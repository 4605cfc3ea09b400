import { expect, test } from "vitest";
import { expectClose } from "../../test/numeric.ts";
import { recordingEngine } from "../../test/recording_engine.ts";
import { alike, alikeTokens, describeShared } from "../../test/shared_beginnings.ts";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { packCell } from "../cell/tokens.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { normal } from "../random.ts";
import { cellGradient, cellGradients } from "./gradient.ts";

describeShared("reference", createReferenceEngine, 3e-6);

const shares = { sharesBeginnings: true };

test("linear maps and prompts run over the rows that are left, attention over all tokens; nothing is kept", async () => {
  const { engine, calls, live } = recordingEngine();
  const { model, config } = tinyModel({}, engine);
  const cell = packCell(alikeTokens(config), alike);
  await cellGradient(model, tinyAdapter(config, { promptLength: 4 }), cell, 1, shares);
  const [T, C] = [cell.ids_T.length, 27];
  expect(T).toBe(63);
  const rows = calls("linear").map(([, , { T: own }]) => own);
  expect(new Set(rows)).toEqual(new Set([C, 4]));
  expect(new Set(calls("promptAttention").map(([, , size]) => size.T))).toEqual(new Set([C]));
  expect(new Set(calls("attention").map(([, , size]) => size.T))).toEqual(new Set([T]));
  expect(live.size).toBe(0);
});

test("a cell has the same bits beside any other, whether that one shares or not", async () => {
  const { model, config } = tinyModel({ qkvBias: true });
  const tokens = alikeTokens(config);
  const [one, other] = [tinyAdapter(config), tinyAdapter(config, {}, { seed: 5 })];
  const tasks = [
    { adapter: one, cell: packCell(tokens, [0, 1]), scale: 0.5, sharesBeginnings: false },
    { adapter: one, cell: packCell(tokens, alike), scale: 0.25, ...shares },
    { adapter: other, cell: packCell(tokens, [5, 0]), scale: 1, ...shares },
    { adapter: other, cell: packCell(tokens, [2, 3, 5]), scale: 1, ...shares },
  ];
  const together = await cellGradients(model, tasks);
  for (const [n, { adapter, cell, scale, sharesBeginnings }] of tasks.entries()) {
    expect(together[n], `cell ${n}`).toEqual(await cellGradient(model, adapter, cell, scale, { sharesBeginnings }));
  }
});

test("samples that are rotated otherwise share nothing", async () => {
  const longrope = {
    type: "longrope",
    shortFactors: [1, 1.5, 2],
    longFactors: [2, 4, 8],
    originalContext: 8,
    attentionFactor: 1.25,
  } as const;
  for (const [changes, rows] of [
    [{}, 27],
    [{ ropeScaling: longrope }, 33], // the beginning itself, of 6 tokens, is short
    [{ ropeScaling: { type: "dynamic", factor: 2, originalContext: 12 }, contextLength: 12 }, 36], // 10, 12 and 6 tokens; 15, 15
  ] as const) {
    const { engine, calls } = recordingEngine();
    const { model, config } = tinyModel(changes, engine);
    await cellGradient(model, tinyAdapter(config), packCell(alikeTokens(config), alike), 1, shares);
    expect(new Set(calls("embed").map(([, ids]) => ids.length))).toEqual(new Set([rows]));
  }
});

test.each(["none", "zeros"] as const)(
  "samples share rows if they see the same image (missing: %s)",
  async (missingImage) => {
    const { engine, calls } = recordingEngine();
    const { model, config } = tinyModel({}, engine);
    const vision = { fusion: "global", featureSize: 7, projectionSize: 5, missingImage } as const;
    const adapter = tinyAdapter(config, { vision, gateSharing: "per-head", gateActivation: "tanh" });
    for (const part of adapter.layout.table) {
      if (part.part !== "projection") continue;
      partNumbers(part, adapter.params).forEach((_, i, numbers) => (numbers[i] = 0.5 * normal(9, part.offset, i)));
    }
    const rows = { size: 7, values: Float32Array.from({ length: 14 }, (_, i) => normal(8, i)) };
    // The equal samples 2 and 3 see the same image; sample 1 begins like them and sees another.
    const tokens = { ...alikeTokens(config), images: { rows, rowOf: Int32Array.of(-1, 0, 1, 1, -1, 1) } };
    const cell = packCell(tokens, alike);
    const whole = await cellGradient(model, adapter, cell, 1 / 20);
    const before = calls("embed").length;
    const once = await cellGradient(model, adapter, cell, 1 / 20, shares);
    const [, ids] = calls("embed")[before] ?? [];
    expect(ids?.length).toBe(10 + 12 + 15 + 5);
    expect(Math.abs(once.lossSum / whole.lossSum - 1)).toBeLessThan(3e-6);
    expectClose(once.gradient, Float64Array.from(whole.gradient), 3e-6, "gradient");
  },
);
