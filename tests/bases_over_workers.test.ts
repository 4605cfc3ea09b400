/** Bases whose layers are not all alike, with delta nets or routed experts: the number of workers changes no bit of their adapter. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { writeTinyBase } from "./support/tiny_base.ts";
import { adapterHash, stepLosses, tinyRun } from "./support/world.ts";

const folder = testFolder();
const types = ["qwen3_5_text", "qwen3_moe", "mixtral"] as const;

async function train(base: string, out: string, ...more: string[]): Promise<string> {
  const changes = {
    "--model": base,
    "--adapter-layers": "2",
    "--lr": "0.05",
    "--warmup-steps": "0",
    "--steps": "3",
    "--cell-tokens": "512",
    "--cell-multiple": "0",
  };
  const flags = [...tinyRun(folder, changes), "--adapter-from", "last", "--out", out, ...more];
  const { code, stderr } = await zerogateHere(["train", ...flags, "--json"], { cwd: folder });
  expect(code, stderr).toBe(0);
  return adapterHash(join(folder, out));
}

describe.each(types)("a %s base [M-qwen3_5_text, M-qwen3_moe, M-mixtral]", (type) => {
  test("trains one adapter with 1 and 2 workers, with equal beginnings computed once and with all of them [M-train]", async () => {
    writeTinyBase(join(folder, type), type);
    const one = await train(type, `${type}-1`, "--workers", "1", "--shared-beginnings");
    expect(await train(type, `${type}-2`, "--workers", "2", "--shared-beginnings")).toBe(one);
    const each = await train(type, `${type}-each`, "--workers", "2", "--no-shared-beginnings");
    expect(each).not.toBe(one);
    const [once, whole] = [`${type}-1`, `${type}-each`].map((out) => stepLosses(join(folder, out)));
    expect(once?.length).toBe(3);
    for (const [i, [step, loss]] of (whole ?? []).entries()) {
      expect(Math.abs((once?.[i]?.[1] ?? 0) / loss - 1), `loss of step ${step}`).toBeLessThan(1e-4);
    }
  });
});

test("a qwen3_5_text base inside the files of a whole Qwen 3.5 trains the adapter that it trains by itself [M-qwen3_5_text, M-load]", async () => {
  writeTinyBase(join(folder, "alone"), "qwen3_5_text");
  writeTinyBase(join(folder, "inside"), "qwen3_5_text", { inside: "qwen3_5" });
  const alone = await train("alone", "of-alone", "--workers", "2");
  expect(await train("inside", "of-inside", "--workers", "1")).toBe(alone);
});
