/** Twenty random configurations of every family against the installed transformers: the same logits. */
import { join } from "node:path";
import { createModel, createReferenceEngine, tokenLogits } from "@zerogate/core";
import { loadWeights, readModelConfig } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { largestDifference, largestMagnitude } from "../peft/compare.ts";
import { testFolder } from "../support/cli.ts";
import { absentModules } from "../support/python.ts";
import { askTransformers, type Theirs } from "./ask_transformers.ts";
import { writeOddCheckpoint } from "./odd_checkpoint.ts";
import { randomConfigs, randomFamilies } from "./random_configs.ts";

const absentPython = absentModules("torch", "transformers");
const ids = Array.from({ length: 24 }, (_, i) => (7 * i + 3) % 61);
const cases = randomFamilies.flatMap((family) => randomConfigs(family).map((config) => ({ family, config })));

/** Relative to the largest logit, or to 1. A delta net divides keys by their lengths, some of which are nearly 0. */
const near = (family: string): number => (family === "qwen3_5_text" ? 1e-4 : 1e-5);

async function ownLogits(folder: string): Promise<Float32Array> {
  const config = await readModelConfig(folder);
  const image = await loadWeights(folder, config, { weightDtypes: ["f32"] });
  return await tokenLogits(createModel(createReferenceEngine(), config, image), undefined, {
    ids_T: Int32Array.from(ids),
    positions_T: Int32Array.from(ids.keys()),
    cuSeqlens: Int32Array.of(0, ids.length),
  });
}

describe.skipIf(absentPython !== "")(`random configurations against transformers${absentPython}`, () => {
  const folder = testFolder();
  const place = (name: string) => join(folder, name.replace(" ", "-"));
  const theirs = new Map<string, Theirs>();
  beforeAll(async () => {
    for (const { config } of cases) writeOddCheckpoint(place(config.name), config);
    const answers = await askTransformers(
      cases.map(({ config }) => place(config.name)),
      ids,
    );
    for (const [i, { config }] of cases.entries()) theirs.set(config.name, answers[i] ?? {});
  });

  test.each(randomFamilies)("twenty configurations of %s have its logits [T-A1, M-load]", async (family) => {
    const own = cases.filter((one) => one.family === family);
    expect(own).toHaveLength(20);
    let worst = 0;
    for (const { config } of own) {
      const { logits = [], error, unexpected } = theirs.get(config.name) ?? {};
      // Checkpoints of Qwen 3.5 have both kinds of layers everywhere.
      const others = family === "qwen3_5_text" ? [] : unexpected;
      expect([error, others], JSON.stringify(config.config)).toEqual([undefined, []]);
      const expected = Float32Array.from(logits);
      const found = await ownLogits(place(config.name));
      const apart = largestDifference(found, expected) / Math.max(1, largestMagnitude(expected));
      expect(apart, JSON.stringify(config.config)).toBeLessThan(near(family));
      worst = Math.max(worst, apart);
    }
    expect(worst).toBeGreaterThan(0);
  });
});
