import { InputError } from "@zerogate/core";
import type { MetricsLine, ReceiptBody, StepMetrics } from "@zerogate/run-files";
import { expect, test, vi } from "vitest";
import { plan, sampleOf, startLoop, type TinyLoopChanges } from "../../test/tiny_loop.ts";

/** Runs the loop to its end. */
async function loop(changes: TinyLoopChanges) {
  const started = await startLoop(changes);
  return { ...started, ending: await started.ending };
}

async function failure(changes: TinyLoopChanges) {
  const started = await startLoop(changes);
  const error = await started.ending.then(
    () => undefined,
    (cause: unknown) => cause as Error,
  );
  if (!error) throw new Error("the loop did not fail");
  return { ...started, error };
}

const steps = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `step ${from + i}`);
const skippedUpTo = (count: number) => Array.from({ length: count }, (_, step) => ({ step, reason: "bad" }));
const all = [...Array(12).keys()];

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

test("a run stops early after so many validations without a gain, saved, and does not go on when it is resumed", async () => {
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

test("a step whose numbers are bad stops the run, with what was good saved and said", async () => {
  const { error, told, standing } = await failure({ bad: [sampleOf(3)] });
  expect(told).toEqual(["step 1", "step 2", "step 3", "save 3"]);
  expect(error.message).toMatch(/^Cannot go on: Step 4 has numbers that cannot be used: cell 0 \(samples /);
  expect(error.message).toContain("resume with --on-bad-numbers skip");
  expect(error.message).toMatch(/\nThe state after step 3 is saved$/);
  expect(standing).toMatchObject({ step: 3, skipped: [] });
});

test("where the disk refuses, the run says that its state is not saved, and why", async () => {
  const settle = () => Promise.reject(new Error("ENOSPC: no space left on device"));
  const { error } = await failure({ bad: [sampleOf(1)], options: { settle } });
  expect(error.message).toMatch(/\nThe state after step 1 is not saved: its disk is full \(ENOSPC\)$/);
});

test("a rank that writes nothing says nothing of a state", async () => {
  const { error, told } = await failure({ bad: [sampleOf(1)], options: { settle: undefined } });
  expect(error.message).not.toContain("The state");
  expect(told.at(-1)).toBe("save 1"); // its part of an order of all ranks
});

test("an error of another kind ends such a rank as it came", async () => {
  const late = new Error("rank 1 is late");
  const checkLock = () => Promise.reject(late);
  expect((await failure({ options: { settle: undefined, checkLock } })).error).toBe(late);
  const told = await failure({ options: { checkLock } });
  expect(told.error.message).toBe("rank 1 is late\nThe state after step 0 is saved");
  expect(told.error.cause).toBe(late);
  const input = new InputError("Cannot go on", "another process does");
  expect((await failure({ options: { checkLock: () => Promise.reject(input) } })).error).toBe(input);
});

test("skip skips bad steps and writes them down", async () => {
  const { ending, told, standing } = await loop({
    totalSteps: 4,
    isHeldOut: false,
    bad: [sampleOf(1)],
    config: { onBadNumbers: "skip" },
  });
  expect(ending).toBe("finished");
  expect(told).toEqual([
    "step 1",
    expect.stringMatching(/^warn Step 2 has numbers that cannot be used/),
    "void 2",
    "step 3",
    "step 4",
    "save 4",
  ]);
  expect(standing.skipped).toEqual([{ step: 1, reason: expect.stringContaining("cell 0") }]);
  // What was skipped stays so, and is not computed again.
  const again = await loop({ totalSteps: 2, isHeldOut: false, standing: { skipped: standing.skipped } });
  expect(again.told).toEqual(["step 1", "void 2", "save 2"]);
});

test.each([
  ["two steps back", 3, 0, { to: 1, bad: 3 }],
  ["to the first step", 2, 0, { to: 0, bad: 2 }],
  ["not before the first step", 1, 0, { to: 0, bad: 1 }],
  ["not before the floor", 4, 3, { to: 3, bad: 4 }],
  ["to the floor", 4, 2, { to: 2, bad: 4 }],
])("rollback goes %s [T-E4]", async (_, bad, floor, expected) => {
  const config = { onBadNumbers: "rollback", rollbackSteps: 2 } as const;
  const { ending, told, standing } = await loop({ bad: [sampleOf(bad)], config, options: { floor } });
  expect(ending).toEqual({ ...expected, reason: expect.stringContaining("cell 0") });
  expect(told).toEqual([...steps(1, bad), expect.stringContaining("warn Step")]);
  expect(standing).toMatchObject({ step: bad, skipped: [] }); // what is skipped follows from where it goes back to
});

test.each(["skip", "rollback"] as const)(
  "%s gives a run up after too many bad steps in a row [T-E4]",
  async (onBadNumbers) => {
    const standing = { step: 12, skipped: skippedUpTo(12) };
    const config = { onBadNumbers, rollbackSteps: 2 };
    const { error, told } = await failure({ bad: all, config, totalSteps: 20, standing });
    expect(error.message).toContain("the data is not to blame, lower the learning rate");
    expect(told).toEqual([]); // the checkpoint that it comes from has this state
  },
);

test("skip skips ten bad steps in a row, and those that a rollback would take back", async () => {
  const { told } = await failure({ bad: all, config: { onBadNumbers: "skip", rollbackSteps: 2 }, totalSteps: 20 });
  expect(told.filter((line) => line.startsWith("void"))).toHaveLength(12);
  expect(told.at(-1)).toBe("save 12");
});

test("rollback skips ten bad steps in a row, and those that it took back", async () => {
  const config = { onBadNumbers: "rollback", rollbackSteps: 2 } as const;
  const { ending } = await loop({ bad: all, config, totalSteps: 20, standing: { step: 11, skipped: skippedUpTo(11) } });
  expect(ending).toMatchObject({ to: 9, bad: 11 });
});

test("bad steps that are not in a row never give a run up [T-E4]", async () => {
  // One bad step in each epoch of six.
  const { ending, standing } = await loop({
    totalSteps: 90,
    isHeldOut: false,
    bad: [0],
    config: { onBadNumbers: "skip" },
  });
  expect(ending).toBe("finished");
  expect(standing.skipped).toHaveLength(15);
});

test.each(["step", "eval"])("where another process took the run over, no %s is recorded [T-E4]", async (kind) => {
  const [totalSteps, evalEvery] = [3, kind === "eval" ? 3 : 1000];
  const told: string[] = [];
  let checks = 0;
  const checkLock = async () => {
    if (++checks === (kind === "eval" ? 4 : 3)) throw new InputError("Cannot go on writing", "another process does");
  };
  const { error, standing } = await failure({
    totalSteps,
    config: { evalEvery },
    options: {
      checkLock,
      onMetrics: (line) => void told.push(`${"event" in line ? line.event : "step"} ${line.step}`),
      receipt: { add: (line) => void told.push(`receipt ${line.event}`) },
    },
  });
  expect(error).toBeInstanceOf(InputError);
  const done = kind === "eval" ? 3 : 2;
  expect(told).toEqual(Array.from({ length: done }, (_, i) => ["receipt step", `step ${i + 1}`]).flat());
  expect(standing).toMatchObject({ step: done, best: undefined, owesEvaluation: kind === "eval" });
});
