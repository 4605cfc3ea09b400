/** Runs that compute beginnings once: the same bits for any number of workers, close to those that compute every token. */
import { expect, test } from "vitest";
import { folder, outcome, resume, run, train } from "./support/disturbed_runs.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash } from "./support/world.ts";

const shared = ["--shared-beginnings"];

test.each([
  { name: "first-fit cells", cut: ["--cell-multiple", "0"] },
  { name: "even cells", cut: ["--cell-multiple", "2"] },
])("$name: 1, 2, 3, 5 and 8 workers, and processes, train one adapter", async ({ name, cut }) => {
  const out = (of: string) => `${name.replaceAll(" ", "-")}-${of}`;
  expect(await train(out("whole"), 2, [...cut, "--no-shared-beginnings"])).toMatchObject({ code: 0 });
  const whole = outcome(out("whole"));
  expect(await train(out("1"), 1, [...shared, ...cut])).toMatchObject({ code: 0 });
  const once = outcome(out("1"));
  for (const workers of [2, 3, 5, 8]) {
    expect(await train(out(`${workers}`), workers, [...shared, ...cut])).toMatchObject({ code: 0 });
    expect(outcome(out(`${workers}`)), `${workers} workers`).toEqual(once);
  }
  expect(await train(out("isolated"), 2, [...shared, ...cut, "--isolate"])).toMatchObject({ code: 0 });
  expect(outcome(out("isolated"))).toEqual(once);
  expect(once.adapter).not.toBe(whole.adapter);
  for (const [i, [step, loss]] of whole.steps.entries()) {
    expect(once.steps[i]?.[0]).toBe(step);
    expect(Math.abs((once.steps[i]?.[1] ?? 0) / loss - 1), `loss of step ${step}`).toBeLessThan(1e-4);
  }
});

test("a run keeps what it began with: resume refuses the other, and verify repeats it", async () => {
  expect(await train("kept", 2, shared)).toMatchObject({ code: 0 });
  const other = await zerogateHere(["resume", "kept", "--no-shared-beginnings"], { cwd: folder });
  expect(other).toMatchObject({ code: 2 });
  expect(other.stderr).toContain("sharedBeginnings");
  expect(await resume("kept", 3)).toMatchObject({ code: 0 });
  const before = adapterHash(run("kept"));
  const verified = await zerogateHere(["verify", "kept", "--replay", "1..2"], { cwd: folder });
  expect(verified, verified.stderr).toMatchObject({ code: 0 });
  expect(adapterHash(run("kept"))).toBe(before);
});
