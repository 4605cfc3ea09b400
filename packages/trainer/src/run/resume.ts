/** Where a resumed run goes on, and whether it may. */
import { InputError } from "@zerogate/core";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { newestCheckpoint } from "../checkpoint/newest.ts";
import type { RunInputs } from "./inputs.ts";

/** What each hash covers, for people. */
const meanings: Readonly<Record<keyof RunInputs["hashes"], string>> = {
  base: "the base model's files changed",
  data: "the data, its tokens or what is held out changed",
  tokenizer: "the tokenizer changed",
  plan: "the order of the samples changed",
  config: "a setting that decides the trained bits changed",
};

/** The newest whole checkpoint. @throws InputError that says what is no longer as it was, if anything. */
export async function openCheckpoint(
  runDir: string,
  inputs: RunInputs,
  onProblem: (problem: string) => void,
): Promise<Checkpoint> {
  const checkpoint = await newestCheckpoint(runDir, inputs.model, onProblem);
  const { hashes } = checkpoint.state;
  const names = Object.keys(meanings) as (keyof typeof meanings)[];
  const changed = names.filter((name) => hashes[name] !== inputs.hashes[name]).map((name) => meanings[name]);
  if (changed.length > 0) throw new InputError(`Cannot resume ${runDir} and get the same result`, changed);
  return checkpoint;
}
