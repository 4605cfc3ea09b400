/** Fewer bits through the command: a base in them trains to the same bits however it is run, and is said to be another base. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, stepLosses, tinyRun, validationLosses } from "./support/world.ts";

const folder = testFolder();
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });
const outcome = (out: string) => ({
  adapter: adapterHash(join(folder, out)),
  steps: stepLosses(join(folder, out)),
  validations: validationLosses(join(folder, out)),
});

/** `near`: how far losses of the tiny base may be from those of the base as it is. `share`: of its bytes. */
const kinds = [
  { storage: "int8", near: 0.1, share: 0.8, tag: " [P17]" },
  { storage: "nf4", near: 0.15, share: 0.65, tag: " [M-nf4, P18]" },
  { storage: "int4", near: 0.15, share: 0.65, tag: " [M-int4, P18]" },
];

describe.each(kinds.map((kind) => ({ ...kind, title: `--storage ${kind.storage}${kind.tag}` })))(
  "$title",
  ({ storage, near, share }) => {
    const flags = [...tinyRun(folder), "--save-every", "2", "--storage", storage];
    const name = (out: string) => `${storage}-${out}`;

    beforeAll(async () => {
      expect(await run("train", ...flags, "--out", name("whole"), "--workers", "2")).toMatchObject({ code: 0 });
    });

    test.each([
      ["--workers", "1"],
      ["--workers", "3"],
      ["--workers", "2", "--isolate"],
    ])("%s %s trains the same bits as two threads", async (...machine) => {
      const out = name(`run${machine.join("")}`);
      expect(await run("train", ...flags, "--out", out, ...machine)).toMatchObject({ code: 0 });
      expect(outcome(out)).toEqual(outcome(name("whole")));
    });

    test("a resume ends at the same bits, and one with the base as it is is refused", async () => {
      const cut = name("cut");
      expect(await run("train", ...flags, "--out", cut, "--workers", "1")).toMatchObject({ code: 0 });
      for (const step of [4, 6]) rmSync(join(folder, cut, "checkpoints", `step-${step}`), { recursive: true });
      const refused = await run("resume", cut, "--storage", "as-is");
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(`storage was "${storage}", is "as-is": it decides the trained bits`);
      expect(await run("resume", cut, "--workers", "2")).toMatchObject({ code: 0 });
      expect(outcome(cut).adapter).toBe(outcome(name("whole")).adapter);
    });

    test("its numbers are near those of the base as it is and not the same; checkpoints name the engine", async () => {
      const asIs = [...flags.slice(0, -1), "as-is"];
      expect(await run("train", ...asIs, "--out", name("as-is"), "--workers", "2")).toMatchObject({ code: 0 });
      expect(outcome(name("as-is")).adapter).not.toBe(outcome(name("whole")).adapter);
      for (const [i, [, loss]] of outcome(name("whole")).steps.entries()) {
        const [, expected] = outcome(name("as-is")).steps[i] ?? [];
        expect(Math.abs(loss - Number(expected))).toBeLessThan(near);
      }
      const state = readFileSync(join(folder, name("whole"), "checkpoints", "step-6", "state.msgpack"), "latin1");
      expect(state).toMatch(new RegExp(`engine.{1,2}(cpu|wasm)/\\w+/f32/${storage}`));
    });

    test("--dry-run counts less for the base", async () => {
      const weights = async (...more: string[]) => {
        const { json } = await run("train", ...flags, "--out", name("dry"), "--dry-run", "--json", ...more);
        return (json[0] as { memory: { weights: number } }).memory.weights;
      };
      expect(await weights()).toBeLessThan(share * (await weights("--storage", "as-is")));
    });

    test("eval and generate take it", async () => {
      const adapter = ["--model", base, "--adapter", join(name("whole"), "adapter"), "--json"];
      const loss = async (...more: string[]) => {
        const { json } = await run("eval", ...adapter, "--data", "held.json", ...more);
        return Number(json[0]?.["loss"]);
      };
      const [asIs, quantised] = [await loss(), await loss("--storage", storage)];
      expect(quantised).not.toBe(asIs);
      expect(Math.abs(quantised - asIs)).toBeLessThan(near);
      const answer = await run("generate", ...adapter, "--prompt", "a", "--max-new-tokens", "3", "--storage", storage);
      expect(answer).toMatchObject({ code: 0 });
    });
  },
);

test.each([
  { args: ["--storage", "int3"], says: '--storage is "int3", expected one of as-is, int8, fp8, nf4, int4' },
  {
    args: ["--storage", "int8", "--engine", "tfjs:cpu"],
    says: "Cannot hold the base in int8: the engine tfjs:cpu does not compute with it: use --storage as-is, or the engine cpu or wasm or cuda or reference",
  },
])("$args is refused", async ({ args, says }) => {
  const refused = await run("generate", "--model", base, "--prompt", "a", ...args);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain(says);
});
