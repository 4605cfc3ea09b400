import { expect } from "vitest";
import { outcome, train } from "./disturbed_runs.ts";

const shared = ["--shared-beginnings"];

/** Trains with shared beginnings on these numbers of workers and in processes: one adapter, close to the one without them. */
export async function expectOneAdapter(
  name: string,
  cut: readonly string[],
  numbers: readonly number[],
): Promise<void> {
  const out = (of: string) => `${name.replaceAll(" ", "-")}-${of}`;
  expect(await train(out("whole"), 2, [...cut, "--no-shared-beginnings"])).toMatchObject({ code: 0 });
  const whole = outcome(out("whole"));
  expect(await train(out("1"), 1, [...shared, ...cut])).toMatchObject({ code: 0 });
  const once = outcome(out("1"));
  for (const workers of numbers) {
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
}
