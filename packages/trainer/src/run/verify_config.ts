/** Whether the stored config is that which the receipt begins with, and checkpoints say the same of prompts as it does. */
import { isDeepStrictEqual } from "node:util";
import { reason } from "@zerogate/core/node";
import { loadTemplate } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { configHash, undoChanges } from "@zerogate/run-config";
import type { Checkpoint, ReadReceipt } from "@zerogate/run-files";
import { readAccepted } from "./accepted.ts";

/**
 * Returns what is wrong with `config.json`, one sentence each. A resume stores an accepted change before the receipt gets its
 * line, and a rewind takes that line back: either list of changes may lead to the config that the run began with.
 */
export async function configProblems(config: TrainConfig, { lines }: ReadReceipt): Promise<string[]> {
  const start = lines[0];
  if (start?.event !== "start") return [];
  try {
    const inReceipt = lines.filter((line) => line.event === "accepted");
    const ways = [inReceipt, await readAccepted(config.out)];
    if (ways.some((changes) => configHash(undoChanges(config, changes)) === start.config)) return [];
    return ["config.json: it is not that which the run began with"];
  } catch (error) {
    return [reason(error)];
  }
}

/** Returns what a checkpoint says of its prompts that the run's config does not; a template file may be gone. */
export async function promptProblems(
  { promptFormat, state }: Checkpoint,
  { template, bos }: TrainConfig,
): Promise<string[]> {
  if (!promptFormat) return "bos" in state.config ? ["its zerogate.json is missing"] : [];
  const known = await loadTemplate(template).catch(() => promptFormat.template);
  return promptFormat.bos === bos && isDeepStrictEqual(known, promptFormat.template)
    ? []
    : ["its zerogate.json is not that of the run's config"];
}
