/** How far off trained bases and adapters are in four bits: held-out losses beside those of the base as it is. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { absent, sharedPath } from "../packages/core/test/shared.ts";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { validationLosses } from "./support/world.ts";

const folder = testFolder();

/** Held-out losses of a run: of the base, which it begins with, and the lowest. */
async function losses(out: string, ...command: string[]): Promise<{ base: number; adapter: number }> {
  const { code, stderr } = await zerogateHere([...command, "--out", out], { cwd: folder });
  expect(code, stderr).toBe(0);
  const all = validationLosses(join(folder, out)).map(([, loss]) => loss);
  return { base: all[0] ?? Number.NaN, adapter: Math.min(...all) };
}

/** Shares of the loss that those of the base and of its adapter may be off in each storage. */
type Gates = Readonly<Record<"nf4" | "int4", { readonly base: number; readonly adapter: number }>>;

async function expectNear(gates: Gates, name: string, ...command: string[]): Promise<void> {
  const asIs = await losses(`${name}-as-is`, ...command, "--storage", "as-is");
  expect(asIs.adapter).toBeLessThan(0.95 * asIs.base); // it learns
  for (const storage of ["nf4", "int4"] as const) {
    const found = await losses(`${name}-${storage}`, ...command, "--storage", storage);
    for (const which of ["base", "adapter"] as const) {
      expect(found[which], `${which} in ${storage}`).not.toBe(asIs[which]);
      const ratio = found[which] / asIs[which];
      expect(Math.abs(ratio - 1), `${which} in ${storage}: ${found[which]}, as is ${asIs[which]}`).toBeLessThan(
        gates[storage][which],
      );
    }
  }
}

const near = { base: 0.03, adapter: 0.03 };

test("quickstart's base and its adapter [M-nf4, M-int4]", async () => {
  await expectNear({ nf4: near, int4: near }, "quickstart", "quickstart", "--seed", "0");
});

const missing = absent("data/stories260K") || absent("data/alpaca-52k");
test.skipIf(missing !== "")(`stories260K on records of Alpaca${missing} [M-nf4, M-int4]`, async () => {
  const file = readFileSync(sharedPath("data/alpaca-52k/alpaca_data.json"), "utf8");
  const records = (JSON.parse(file) as { output: string }[]).filter(({ output }) => output !== "");
  writeFileSync(join(folder, "alpaca.json"), JSON.stringify(records.slice(0, 1000)));
  const base = ["--model", sharedPath("data/stories260K"), "--data", "alpaca.json", "--val-fraction", "0.2"];
  // A hidden size of 64 is the least that nf4 has a block for: its base is off by 4.5 %, which an adapter learns to mend.
  const gates = { nf4: { base: 0.06, adapter: 0.03 }, int4: near };
  await expectNear(gates, "stories", "train", ...base, "--steps", "60", "--lr", "0.01", "--seed", "0");
});
