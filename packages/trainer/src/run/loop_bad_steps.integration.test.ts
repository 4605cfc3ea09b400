/** Steps whose numbers are bad: the run stops, skips them or goes back; and other ends of a run. */
import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { sampleOf, startLoop, type TinyLoopChanges } from "../../test/tiny_loop.ts";

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

test("a step whose numbers are bad stops the run, with what was good saved and said", async () => {
  const { error, told, standing } = await failure({ bad: [sampleOf(3)] });
  expect(told).toEqual(["step 1", "step 2", "step 3", "save 3"]);
  expect(error.message).toMatch(/^Cannot go on: Step 4 has numbers that cannot be used: cell 0 \(samples /);
  expect(error.message).toContain("resume with --on-bad-numbers skip");
  expect(error.message).toMatch(/\nThe state after step 3 is saved$/);
  expect(standing).toMatchObject({ step: 3, skipped: [] });
});

test("if the disk refuses, the run says that its state is not saved, and why", async () => {
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

test.each(["step", "eval"])("if another process took the run over, no %s is recorded [T-E4]", async (kind) => {
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
