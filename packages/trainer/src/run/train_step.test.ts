import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import { plan, startLoop } from "../../test/tiny_loop.ts";
import { adapterAt } from "./context.ts";
import { trainStep } from "./train_step.ts";

async function ready() {
  const { job, ending } = await startLoop({ totalSteps: 1, learningRate: 0.01, isHeldOut: false });
  await ending;
  return job;
}

test("a step is computed while a checkpoint is copied, but changes nothing before the copy is made [T-E5]", async () => {
  const job = await ready();
  const before = { params: job.numbers.params.slice(), t: [...job.moments.t], m: job.moments.m.slice() };
  let isCopied = (): void => {};
  const asked = new EventEmitter();
  const copied = () => {
    asked.emit("asked");
    return new Promise<void>((resolve) => (isCopied = resolve));
  };
  const isAsked = once(asked, "asked");
  const stepping = trainStep({ ...job, writer: { copied } }, plan.step(1));
  await isAsked;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect({ params: job.numbers.params, t: job.moments.t, m: job.moments.m }).toEqual(before);
  isCopied();
  await stepping;
  expect(job.moments.t).toEqual(before.t.map((count) => count + 1));
  expect(job.numbers.params).not.toEqual(before.params);
});

test("what may be done while devices compute is done once they have their cells, and before anything changes", async () => {
  const job = await ready();
  const before = job.numbers.params.slice();
  const order: string[] = [];
  const runStep: typeof job.pool.runStep = async (step) => {
    const computing = job.pool.runStep(step);
    order.push("dealt");
    const sum = await computing;
    await new Promise((resolve) => setTimeout(resolve, 20));
    order.push("computed");
    return sum;
  };
  await trainStep({ ...job, pool: { runStep } }, plan.step(1), () => {
    order.push("meanwhile");
    expect(job.numbers.params).toEqual(before);
  });
  expect(order).toEqual(["dealt", "meanwhile", "computed"]);
  expect(job.numbers.params).not.toEqual(before);
  // However long it takes: nothing is committed before it is done.
  const late = trainStep({ ...job, pool: { runStep } }, plan.step(2), () => {
    throw new Error("the disk is gone");
  });
  const after = job.numbers.params.slice();
  await expect(late).rejects.toThrow("the disk is gone");
  expect(job.numbers.params).toEqual(after);
});

test("the loss of a step is the mean over its labelled tokens, before the update", async () => {
  const job = await ready();
  const step = plan.step(1);
  const { lossSum, labelledTokens } = await job.pool.evaluate({
    set: "train",
    cells: step.cells,
    adapter: adapterAt(job, 1),
  });
  expect(labelledTokens).toBe(step.labelledTokens);
  expect((await trainStep(job, step)).loss).toBeCloseTo(lossSum / labelledTokens, 6);
});

test("clipping changes the update and not the norm that is reported", async () => {
  const job = await ready();
  const start = job.numbers.params.slice();
  let rollbacks = 100; // a device keeps the parameters of the version that it knows
  const step = async (clipNorm: number) => {
    job.numbers.params.set(start);
    const moments = { m: new Float32Array(start.length), v: new Float32Array(start.length), t: [0] };
    // Without eps AdamW's first update would not depend on the gradient's size.
    const optimizer = { ...job.optimizer, eps: 1 };
    const report = await trainStep(
      {
        ...job,
        run: { ...job.run, config: { ...job.run.config, clipNorm } },
        moments,
        optimizer,
        rollbacks: rollbacks++,
      },
      plan.step(0),
    );
    return { ...report, params: job.numbers.params.slice() };
  };
  const free = await step(0);
  const clipped = await step(free.gradientNorm / 2);
  const loose = await step(free.gradientNorm * 2);
  expect(clipped.gradientNorm).toBe(free.gradientNorm);
  expect(clipped.loss).toBe(free.loss);
  expect(clipped.params).not.toEqual(free.params);
  expect(loose.params).toEqual(free.params);
});
