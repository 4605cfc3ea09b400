import type { MetricsLine, ReceiptBody, StepMetrics } from "@zerogate/run-files";
import { expect, test, vi } from "vitest";
import { plan, startLoop, type TinyLoopChanges } from "../../test/tiny_loop.ts";

/** Runs the loop to its end. */
async function loop(changes: TinyLoopChanges) {
  const started = await startLoop(changes);
  return { ...started, ending: await started.ending };
}

test("a run takes its steps, validates and saves when it is due and at the end", async () => {
  const { ending, told, standing } = await loop({
    totalSteps: 7,
    config: { evalAtStart: true, evalEvery: 3, saveEvery: 2 },
  });
  expect(ending).toBe("finished");
  const lines = [
    "eval 0, step 1, step 2, save 2",
    "step 3, eval 3, save 3", // the first validation is the best so far
    "step 4, save 4, step 5, step 6, eval 6, save 6",
    "step 7, eval 7, save 7",
  ];
  expect(told).toEqual(lines.flatMap((line) => line.split(", ")));
  expect(standing).toMatchObject({ step: 7, owesEvaluation: false, skipped: [] });
});

test("every = 0 is once an epoch", async () => {
  expect(plan.stepsPerEpoch).toBe(6);
  const { told } = await loop({ totalSteps: 13, config: { evalEvery: 0, saveEvery: 0 } });
  expect(told.filter((line) => !line.startsWith("step"))).toEqual([
    "eval 6",
    "save 6",
    "eval 12",
    "save 12",
    "eval 13",
    "save 13",
  ]);
});

test("metrics and receipt have the step's numbers, counted from 1", async () => {
  const lines: MetricsLine[] = [];
  const receipt: ReceiptBody[] = [];
  const { standing } = await loop({
    totalSteps: 2,
    config: { evalEvery: 2 },
    options: { onMetrics: (line) => lines.push(line), receipt: { add: (line) => receipt.push(line) } },
  });
  const { tokens, labelledTokens } = plan.step(0);
  expect(lines[0]).toMatchObject({ step: 1, epoch: 1 / 6, tokens, labelledTokens, learningRate: 0 });
  expect(lines[2]).toMatchObject({ event: "eval", step: 2, epoch: 2 / 6, loss: standing.best?.loss });
  const step = lines[0] as StepMetrics;
  // Both heads of both layers have a gate of 0.3.
  for (const gate of step.gates) expect(gate).toBeCloseTo(Math.tanh(0.3), 6);
  expect(step.gates).toHaveLength(2);
  expect(step.tokensPerSecond).toBeCloseTo((1000 * tokens) / step.stepMs, 6);
  expect(step.labelledTokensPerSecond).toBeCloseTo((1000 * labelledTokens) / step.stepMs, 6);
  expect(receipt.map(({ event }) => event)).toEqual(["step", "step", "eval"]);
  expect(receipt[1]).toMatchObject({ step: 2, loss: (lines[1] as { loss: number }).loss });
});

test("the base is validated, but it is never the best: it is no result of the run [T-E4]", async () => {
  const { ending, told, standing } = await loop({
    config: { evalAtStart: true },
    options: { control: { signal: AbortSignal.abort(), saveRequests: { count: 0 } } },
  });
  expect([ending, told]).toEqual(["interrupted", ["eval 0", "save 0"]]);
  expect(standing).toMatchObject({ best: undefined, evaluationsWithoutGain: 0, owesEvaluation: false });
});

test("the best is the validation with the lowest loss, the first of equals", async () => {
  const { standing, told } = await loop({ totalSteps: 3, config: { evalEvery: 1 } });
  expect(standing.best?.step).toBe(1);
  expect(standing.evaluationsWithoutGain).toBe(2);
  expect(told).toEqual(["step 1", "eval 1", "save 1", "step 2", "eval 2", "step 3", "eval 3", "save 3"]);
  const better = await loop({ totalSteps: 3, config: { evalEvery: 1 }, learningRate: 0.003 });
  expect(better.standing.best?.step).toBe(3);
  expect(better.standing.evaluationsWithoutGain).toBe(0);
});

test("a run stops early after that many validations without a gain, saved, and does not go on when it is resumed", async () => {
  const config = { evalEvery: 1, earlyStopping: 2 };
  const { ending, told, standing } = await loop({ totalSteps: 9, config });
  expect(ending).toBe("stopped-early");
  expect(told).toEqual(["step 1", "eval 1", "save 1", "step 2", "eval 2", "step 3", "eval 3", "save 3"]);
  const resumed = await loop({ totalSteps: 9, config, standing });
  expect([resumed.ending, resumed.told]).toEqual(["stopped-early", []]);
});

test("without held-out data nothing is validated, and nothing is the best", async () => {
  const { told, standing } = await loop({
    isHeldOut: false,
    totalSteps: 2,
    config: { evalAtStart: true, evalEvery: 1 },
  });
  expect(told).toEqual(["step 1", "step 2", "save 2"]);
  expect(standing).toMatchObject({ best: undefined, owesEvaluation: false });
});

test("a resumed run makes up for a validation that it owes, and validates its base no more", async () => {
  const config = { evalAtStart: true };
  const owing = await loop({ totalSteps: 4, config, standing: { step: 3, owesEvaluation: true } });
  expect(owing.told).toEqual(["eval 3", "step 4", "eval 4", "save 4"]);
  const settled = await loop({ totalSteps: 4, config, standing: { step: 3 } });
  expect(settled.told).toEqual(["step 4", "eval 4", "save 4"]);
});

test.each([
  [1000, ["step 1", "step 2", "save"]],
  [1, ["step 1", "save", "step 2", "save"]],
])(
  "a run that saves every %d steps and is asked to stop ends after its step, with one checkpoint of it",
  async (saveEvery, expected) => {
    const stop = new AbortController();
    const control = { signal: stop.signal, saveRequests: { count: 0 } };
    const told: string[] = [];
    const save = async () => void told.push("save");
    const onMetrics = ({ step }: MetricsLine) => {
      told.push(`step ${step}`);
      if (step === 2) stop.abort();
    };
    const { ending } = await loop({ config: { saveEvery }, options: { control, save, onMetrics } });
    expect([ending, told]).toEqual(["interrupted", expected]);
    const resumed = await loop({ standing: { step: 2 }, options: { control } });
    expect([resumed.ending, resumed.told]).toEqual(["interrupted", []]);
  },
);

test("each request saves the step that is under way, once", async () => {
  const saveRequests = { count: 4 }; // of before the loop began
  const control = { signal: new AbortController().signal, saveRequests };
  const told: string[] = [];
  await loop({
    totalSteps: 4,
    isHeldOut: false,
    options: {
      control,
      save: async () => void told.push("save"),
      onMetrics({ step }) {
        told.push(`step ${step}`);
        if (step === 2) saveRequests.count += 2;
      },
    },
  });
  expect(told).toEqual(["step 1", "step 2", "save", "step 3", "step 4", "save"]);
});

test("saveMinutes counts from the last save, whatever that was for [T-E4]", async () => {
  let minutes = 100;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => 60_000 * minutes);
  const told: string[] = [];
  const options = { onMetrics: ({ step }: MetricsLine) => void (minutes++, told.push(`step ${step}`)) };
  const save = async () => void told.push("save");
  await loop({
    totalSteps: 12,
    isHeldOut: false,
    config: { saveMinutes: 3, saveEvery: 5 },
    options: { ...options, save },
  });
  clock.mockRestore();
  const saved = told.flatMap((line, i) => (line === "save" ? told[i - 1] : []));
  expect(saved).toEqual(["step 3", "step 5", "step 8", "step 10", "step 12"]);
});
