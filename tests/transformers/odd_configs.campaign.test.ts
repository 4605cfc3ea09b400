/**
 * Odd configurations against the installed transformers: ours computes the same logits, or refuses the key by its name. Never
 * is a difference silent.
 */
import { join } from "node:path";
import { createModel, createReferenceEngine, InputError, tokenLogits } from "@zerogate/core";
import { loadWeights, readModelConfig } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { largestDifference } from "../peft/compare.ts";
import { testFolder } from "../support/cli.ts";
import { absentModules } from "../support/python.ts";
import { askTransformers, type Theirs } from "./ask_transformers.ts";
import { writeOddCheckpoint } from "./odd_checkpoint.ts";
import { type OddConfig, oddConfigs } from "./odd_configs.ts";

const absentPython = absentModules("torch", "transformers");
const ids = Array.from({ length: 24 }, (_, i) => (7 * i + 3) % 61);
const cases = oddConfigs();

interface Ours {
  readonly logits?: Float32Array;
  readonly warnings: readonly string[];
  readonly refusal?: string;
}

async function compute(folder: string): Promise<Ours> {
  const engine = createReferenceEngine();
  const warnings: string[] = [];
  try {
    const config = await readModelConfig(folder, { onWarning: (warning) => warnings.push(warning) });
    const model = createModel(engine, config, await loadWeights(folder, config, { weightDtypes: ["f32"] }));
    const tokens = {
      ids_T: Int32Array.from(ids),
      positions_T: Int32Array.from(ids.keys()),
      cuSeqlens: Int32Array.of(0, ids.length),
    };
    return { logits: await tokenLogits(model, undefined, tokens), warnings };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { refusal: error.message, warnings };
  }
}

type Outcome = "same" | "refused" | "both" | "ours";

/** Which side computes what, and which differences came without a warning. */
function compareAnswers(
  { key, onlyOurs = false }: OddConfig,
  { refusal, warnings, logits: own }: Ours,
  { logits = [], unexpected = [], error }: Theirs = { error: "no answer" },
): { outcome: Outcome; silent: string | undefined } {
  if (refusal !== undefined) {
    const silent = refusal.includes(key) ? undefined : `the refusal does not name ${key}: ${refusal}`;
    return { outcome: error === undefined ? "refused" : "both", silent };
  }
  if (error !== undefined) {
    // What transformers fails on is computed here only if older versions did, or with a note about the key.
    const isTold = onlyOurs || warnings.some((warning) => warning.includes(key));
    return { outcome: "ours", silent: isTold ? undefined : `transformers fails: ${error}` };
  }
  const apart = largestDifference(own, Float32Array.from(logits));
  const isNamed = warnings.some((warning) => warning.includes("tensors are not part of"));
  if (!(apart < 1e-4)) return { outcome: "same", silent: `logits are ${apart} apart` };
  if (isNamed !== unexpected.length > 0) return { outcome: "same", silent: `not named: ${unexpected.join(", ")}` };
  return { outcome: "same", silent: undefined };
}

describe.skipIf(absentPython !== "")(`${cases.length} odd configurations against transformers${absentPython}`, () => {
  const folder = testFolder();
  const outcomes: Record<Outcome, number> = { same: 0, refused: 0, both: 0, ours: 0 };
  let theirs: Theirs[] = [];
  beforeAll(async () => {
    const folders = cases.map((_, i) => join(folder, String(i)));
    for (const [i, odd] of cases.entries()) writeOddCheckpoint(folders[i] ?? "", odd);
    theirs = await askTransformers(folders, ids);
  });

  test.each(cases.map((odd, i) => [odd.name, odd, i] as const))("%s [T-A1, T-A2, T-A3]", async (_, odd, i) => {
    const { outcome, silent } = compareAnswers(odd, await compute(join(folder, String(i))), theirs[i]);
    outcomes[outcome]++;
    expect(silent).toBeUndefined();
  });

  test("no kind of outcome is rare enough to be an accident", () => {
    const { same, refused, both, ours } = outcomes;
    expect(same + refused + both + ours).toBe(cases.length);
    expect(same).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(300);
    expect(both).toBeGreaterThan(20);
    expect(ours).toBeLessThan(20);
  });
});
