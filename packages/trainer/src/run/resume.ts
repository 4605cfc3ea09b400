/** Where a resumed run goes on, and whether it may. */
import { InputError } from "@zerogate/core";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { newestCheckpoint } from "../checkpoint/newest.ts";
import { unsafeChanges } from "../config/identity.ts";
import type { TrainConfig } from "../config/train_config.ts";
import type { RunInputs } from "./inputs.ts";

/** What each hash covers, for people. */
const meanings: Readonly<Record<keyof RunInputs["hashes"], string>> = {
  base: "the base model's files changed",
  data: "the data, its tokens or what is held out changed",
  tokenizer: "the tokenizer changed",
  plan: "the order of the samples changed",
};

/**
 * The newest whole checkpoint; none where the run ended before its first.
 * @throws InputError that says what is no longer as it was, if anything.
 */
export async function openCheckpoint(
  config: TrainConfig,
  inputs: RunInputs,
  onProblem: (problem: string) => void,
): Promise<Checkpoint | undefined> {
  const checkpoint = await newestCheckpoint(config.out, inputs.model, onProblem);
  if (!checkpoint) {
    onProblem("the run ended before its first checkpoint: it starts again from its first step, to the same result");
    return undefined;
  }
  const { hashes, config: before } = checkpoint.state;
  const names = Object.keys(meanings) as (keyof typeof meanings)[];
  const changed = names.filter((name) => hashes[name] !== inputs.hashes[name]).map((name) => meanings[name]);
  for (const key of unsafeChanges(before as unknown as TrainConfig, config)) {
    const [was, is] = [before[key], config[key]].map((value) => JSON.stringify(value) ?? "not set");
    changed.push(`${key} was ${was}, is ${is}: it decides the trained bits`);
  }
  if (changed.length > 0) throw new InputError(`Cannot resume ${config.out} and get the same result`, changed);
  return checkpoint;
}
