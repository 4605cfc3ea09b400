/** Program for tests that end it: one step on two devices. stdin: the pool's options and the step as JSON; stdout: the result. */
import { readFileSync } from "node:fs";
import { addSlot } from "@zerogate/core/training";
import { openDevices } from "@zerogate/workers";

const { setup, step, ...options } = JSON.parse(readFileSync(0, "utf8"));
const jobs = setup.jobs.map(({ params: numbers, ...job }) => {
  const params = new Float32Array(new SharedArrayBuffer(4 * job.layout.length));
  params.set(numbers);
  return { ...job, params };
});
const { ids, target, offsets } = setup.tokens;
const train = {
  ids: Int32Array.from(ids),
  target: Uint8Array.from(target),
  offsets: Float64Array.from(offsets),
  hash: "",
};
const reasons = [];
const pool = await openDevices({
  ...options,
  workers: 2,
  setup: { ...setup, jobs, tokens: { train } },
  onEvent: (event) => event.type === "worker-died" && reasons.push(event.reason),
});
const [first, ...others] = (await pool.runStep(step)).slots;
for (const slot of others) addSlot(first, slot);
console.log(JSON.stringify({ reasons, sums: [...first.sums] }));
await pool.close();
