/** Which state a run delivers, and what a resume of a run does that has ended. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Outcome, testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, tinyRun, validationLosses } from "./support/world.ts";

const cwd = testFolder();
const STEPS = 8;
/** The learning rate stays so high that some earlier step is better than the last. */
const wild = {
  "--steps": String(STEPS),
  "--lr": "1",
  "--schedule": "constant",
  "--eval-every": "1",
  "--keep-checkpoints": "1",
  "--report-answers": "1",
  "--workers": "2",
};
const at = (...names: string[]) => join(cwd, ...names);
const train = (out: string, changes: Readonly<Record<string, string>> = {}, ...more: string[]) =>
  zerogateHere(["train", ...tinyRun(cwd, { ...wild, ...changes }), "--out", out, ...more], { cwd });
const resume = (out: string, ...flags: string[]) => zerogateHere(["resume", out, ...flags], { cwd });
const numbers = (folder: string) => readFileSync(join(folder, "adapter_model.safetensors"));
const card = (out: string) => readFileSync(at(out, "adapter", "README.md"), "utf8");
const copyOf = (out: string) => {
  cpSync(at("best"), at(out), { recursive: true });
  return out;
};
const expectVerified = async (out: string, code = 0): Promise<Outcome> => {
  const verified = await zerogateHere(["verify", out], { cwd });
  expect(verified.code, verified.stdout + verified.stderr).toBe(code);
  return verified;
};
/** Everything but the lock: bytes of each file, by name. */
const contents = (out: string) =>
  (readdirSync(at(out), { recursive: true }) as string[])
    .filter((name) => !name.startsWith("lock-") && statSync(at(out, name)).isFile())
    .map((name) => [name, readFileSync(at(out, name), "base64")]);

let best = 0;
let trained: Outcome;

beforeAll(async () => {
  trained = await train("best");
  expect(trained.code, trained.stderr).toBe(0);
  const losses = validationLosses(at("best")).filter(([step]) => step > 0);
  best = losses.toSorted(([, a], [, b]) => a - b)[0]?.[0] ?? 0;
  expect(best).toBeGreaterThan(0);
  expect(best).toBeLessThan(STEPS);
});

describe("the adapter of a run with validation", () => {
  test("is that of the lowest held-out loss, said at the end, in the report and in its card [T-D1]", async () => {
    expect(numbers(at("best", "adapter"))).toEqual(numbers(at("best", "checkpoints", `step-${best}`)));
    expect(numbers(at("best", "adapter"))).not.toEqual(numbers(at("best", "checkpoints", `step-${STEPS}`)));
    const said = `step ${best} of ${STEPS}, with the lowest held-out loss`;
    expect(trained.stdout).toContain(`The adapter is that of ${said}`);
    expect(card("best")).toContain(`Taken from ${said}`);
    expect(readFileSync(at("best", "report.html"), "utf8")).toContain(`<b>step ${best} of ${STEPS}</b>`);
    expect((await expectVerified("best")).stdout).toContain(`adapter: it is that of the best checkpoint, step ${best}`);
  });

  test("is what base and adapter are compared with [T-D1]", () => {
    const loss = validationLosses(at("best")).find(([step]) => step === best)?.[1] ?? Number.NaN;
    expect(trained.stdout).toMatch(new RegExp(`held-out loss +[\\d.]+ +${loss.toFixed(4)}`));
  });

  test("is that of the last step where that is wanted, then or by a later resume [T-D1]", async () => {
    const last = await train("last", { "--adapter-from": "last" }, "--json");
    expect(last.json.at(-1)).toMatchObject({ event: "done", adapterFrom: "last", adapterStep: STEPS });
    expect(numbers(at("last", "adapter"))).toEqual(numbers(at("last", "checkpoints", `step-${STEPS}`)));
    expect(card("last")).toContain(`Taken from step ${STEPS} of ${STEPS}, the last.`);
    await expectVerified("last");

    const out = copyOf("later");
    const changed = await resume(out, "--adapter-from", "last", "--json");
    expect(changed.json.at(-1)).toMatchObject({ event: "done", adapterFrom: "last", adapterStep: STEPS });
    expect(adapterHash(at(out))).toBe(adapterHash(at("last")));
    expect(numbers(at(out, "rewound", "1", "adapter"))).toEqual(numbers(at("best", "adapter")));
    await expectVerified(out);
  });

  test("is that of the last step, with a warning, if the best is lost [T-D1]", async () => {
    const out = copyOf("lost");
    rmSync(at(out, "checkpoints", `step-${best}`), { recursive: true });
    rmSync(at(out, "adapter"), { recursive: true });
    const resumed = await resume(out);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain(`The best state, step ${best} of ${STEPS}`);
    expect(resumed.stdout).toContain(`The adapter is that of step ${STEPS} of ${STEPS}, the last`);
    expect(numbers(at(out, "adapter"))).toEqual(numbers(at("best", "checkpoints", `step-${STEPS}`)));
    expect((await expectVerified(out)).stdout).toContain("is gone, so the adapter was compared with the last one");
  });

  test("is not believed to be the best where it is not [T-D1]", async () => {
    const out = copyOf("swapped");
    cpSync(
      at(out, "checkpoints", `step-${STEPS}`, "adapter_model.safetensors"),
      at(out, "adapter", "adapter_model.safetensors"),
    );
    expect((await expectVerified(out, 3)).stdout).toContain(
      `adapter/adapter_model.safetensors is not that of the best checkpoint, step ${best}`,
    );
  });
});

test("without validation the last step is delivered, to the bits that it always had [T-D1]", async () => {
  const none = { ...wild, "--val-fraction": "0" };
  const flags = (changes: Readonly<Record<string, string>>) => {
    const { "--validation-data": _, ...kept } = Object.fromEntries(pairs(tinyRun(cwd, { ...none, ...changes })));
    return Object.entries(kept).flat();
  };
  const usual = await zerogateHere(["train", ...flags({}), "--out", "none"], { cwd });
  expect(usual.stdout).toContain(`The adapter is that of step ${STEPS} of ${STEPS}, the last`);
  await zerogateHere(["train", ...flags({ "--adapter-from": "last" }), "--out", "none-last"], { cwd });
  expect(adapterHash(at("none"))).toBe(adapterHash(at("none-last")));
  expect(numbers(at("none", "adapter"))).toEqual(numbers(at("none", "checkpoints", `step-${STEPS}`)));
});

test("a best that is worse than the base alone is named as such [T-D1]", async () => {
  const worse = await train("worse", { "--lr": "30", "--steps": "3" });
  expect(worse.stdout).toMatch(/Warning: on what is held out no step was better than the base alone, [\d.]+\./);
});

describe("a resume of a run that has ended", () => {
  test("says so and does nothing [T-D6]", async () => {
    const out = copyOf("ended");
    const before = contents(out);
    const resumed = await resume(out);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stdout).toContain(`This run has ended after ${STEPS} steps: there is nothing to do`);
    expect(contents(out)).toEqual(before);
    const json = await resume(out, "--json");
    expect(json.json).toEqual([
      expect.objectContaining({ event: "done", hadEnded: true, steps: STEPS, adapterStep: best }),
    ]);
  });

  test("does nothing either where early stopping ended it [T-D6]", async () => {
    const early = await train("early", { "--early-stopping": "1", "--lr": "30" }, "--json");
    expect(early.json.at(-1)).toMatchObject({ ending: "stopped-early" });
    const resumed = await resume("early");
    expect(resumed.stdout).toMatch(
      /ended after \d steps \(stopped early: no better validation\): there is nothing to do/,
    );
  });

  test.each(["adapter", "report.html"])("makes a lost %s again, as it was [T-D6]", async (name) => {
    const out = copyOf(`without-${name}`);
    rmSync(at(out, name), { recursive: true });
    const resumed = await resume(out);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stdout).toContain(`Trained ${STEPS} steps`);
    expect(readdirSync(at(out))).toContain(name);
    expect(adapterHash(at(out))).toBe(adapterHash(at("best")));
    await expectVerified(out);
  });

  test("goes on where more steps are wanted, and says what that needs [T-D6]", async () => {
    const out = copyOf("more");
    const refused = await resume(out, "--steps", "10");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--accept-change steps");
    const resumed = await resume(out, "--steps", "10", "--accept-change", "steps");
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stdout).toContain("Trained 10 steps");
    await expectVerified(out);
  });
});

function pairs(flags: readonly string[]): [string, string][] {
  return flags.flatMap((flag, i) => (i % 2 === 0 ? [[flag, flags[i + 1] ?? ""] as [string, string]] : []));
}
