/** Answers to the same held-out prompts while a run goes on, kept in `RUN/samples.jsonl`. Nothing that is trained depends on them. */
import type { SampledAnswer } from "@zerogate/run-files";
import { adapterAt, type Job } from "./context.ts";
import { askedSamples, writeAnswers } from "./samples.ts";

/**
 * Asks what the file has no answer to: at the start the base, and if answers are due at this step the adapter. So a run that was ended
 * between a step and its answers takes them when it goes on.
 *
 * @param at the start of a stretch of the run, a step that is done, or the last one
 */
export async function takeSamples(job: Job, at: "start" | "step" | "end"): Promise<void> {
  const { run, standing, records, pool } = job;
  const { config, inputs, team, lock, view } = run;
  const { heldOut } = inputs;
  if (config.sampleEvery === 0 || !heldOut) return;
  const { step } = standing;
  const isLast = at === "end" || step === inputs.totalSteps;
  const isDue = step > 0 && (isLast || step % config.sampleEvery === 0);
  if (at !== "start" && !isDue) return;
  const all = askedSamples(heldOut, inputs, config.reportAnswers);
  // All ranks compute, the first alone has the file.
  const open = await team.fromFirst("the samples", async () => {
    const lacking = (of?: number) => all.some(({ sample }) => !records.samples.has(sample, of));
    return { base: lacking(), adapter: isDue && lacking(step) };
  });
  const take = async (by: "base" | "adapter") => {
    const texts = await writeAnswers(pool, heldOut, inputs, all, by === "base" ? undefined : adapterAt(job, step));
    await lock.check();
    const lines = all.map(({ sample, prompt, expected }, i): SampledAnswer => {
      return { step, sample, prompt, expected, [by]: texts[i] ?? "" };
    });
    const isNew = ({ sample }: SampledAnswer) => !records.samples.has(sample, by === "base" ? undefined : step);
    const taken = lines.filter(isNew);
    for (const line of taken) records.samples.write(line);
    view.samples(taken);
  };
  if (open.base) await take("base");
  if (open.adapter) await take("adapter");
}
