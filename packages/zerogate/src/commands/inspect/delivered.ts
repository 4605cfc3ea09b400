/** Which state of a run its adapter is, as the files say. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readRegularFile } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import type { RunState } from "@zerogate/run-files";
import { chooseAdapter, describeChoice } from "@zerogate/trainer/command";

export interface DeliveredAdapter {
  readonly folder: string;
  /** The last state, or the one of the lowest held-out loss; undefined if nothing says so. */
  readonly from: TrainConfig["adapterFrom"] | undefined;
  readonly step: number | undefined;
  /** In words: `step 40 of 60, the last`. */
  readonly origin: string | undefined;
}

/** Undefined if there is no adapter yet. What the model card says of it comes first, then what the run was to deliver. */
export async function deliveredAdapter(
  runDir: string,
  config: TrainConfig | undefined,
  saved: RunState | undefined,
): Promise<DeliveredAdapter | undefined> {
  const folder = join(runDir, "adapter");
  if (!existsSync(join(folder, "adapter_config.json"))) return undefined;
  const card = await readRegularFile(join(folder, "README.md")).then(String, () => "");
  const [, origin, step] = /^Taken from (step (\d+) of \d+, .*)\.$/m.exec(card) ?? [];
  if (origin !== undefined)
    return { folder, from: origin.endsWith(", the last") ? "last" : "best", step: Number(step), origin };
  if (!config || !saved) return { folder, from: undefined, step: undefined, origin: undefined };
  const choice = chooseAdapter(config, saved);
  return { folder, from: choice.from, step: choice.step, origin: describeChoice(choice) };
}
