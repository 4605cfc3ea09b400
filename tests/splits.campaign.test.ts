/** A batch is weighed by its labelled tokens, however unevenly it is cut into cells. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { type AlpacaRecord, records, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder, { "--steps": "4", "--batch-size": "16" });

interface Step {
  readonly step: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly labelledTokens: number;
  readonly gates: readonly number[];
}

async function stepsWith(cellTokens: number): Promise<Step[]> {
  const out = `cells-${cellTokens}`;
  const done = await zerogateHere(["train", ...flags, "--cell-tokens", String(cellTokens), "--out", out], {
    cwd: folder,
  });
  expect(done).toMatchObject({ code: 0 });
  const lines = readFileSync(join(folder, out, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  return lines.map((line) => JSON.parse(line) as Step & { event?: string }).filter(({ event }) => event === undefined);
}

test("any split into cells gives the same loss, gradient and gates, up to rounding, with answers of any length", async () => {
  // One answer of a word for each long one: a mean of means would be far off.
  const uneven: AlpacaRecord[] = records("train.json", 64).map((record, i) =>
    i % 2 === 0 ? record : { ...record, output: Array(12).fill(record.output).join(" ").slice(0, 60) },
  );
  writeFileSync(join(folder, "data.json"), JSON.stringify(uneven));
  const whole = await stepsWith(100_000);
  expect(whole).toHaveLength(4);
  for (const cellTokens of [1, 90, 150, 700]) {
    const split = await stepsWith(cellTokens);
    for (const [i, step] of split.entries()) {
      const expected = whole[i];
      if (!expected) throw new Error("steps are missing");
      expect(step.labelledTokens).toBe(expected.labelledTokens);
      expect(Math.abs(step.loss / expected.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(step.gradientNorm / expected.gradientNorm - 1)).toBeLessThan(1e-4);
      for (const [layer, gate] of step.gates.entries())
        expect(gate).toBeCloseTo(expected.gates[layer] ?? Number.NaN, 4);
    }
  }
});
