/** A run's folder compared with its receipt, and its steps done again. */
import { readBase } from "../open/base.ts";
import type { Progress } from "../open/data.ts";
import { checkLinks } from "../open/links.ts";
import { openInputs } from "../run/inputs.ts";
import { type Replay, replayRun, type StepRange } from "../run/replay.ts";
import { readRunConfig } from "../run/run_folder.ts";
import { type VerifiedRun, verifyRun } from "../run/verify_run.ts";
import type { RunView } from "../run/view.ts";
import type { RunChanges } from "./resume.ts";

/** What `verify` does besides comparing hashes, and where it reports. */
export interface VerifyOptions extends Partial<Progress> {
  /** Steps to do again. @default none */
  readonly replay?: StepRange | undefined;
  /** Receives what happens to the workers of a replay. @default nowhere */
  readonly onDevice?: RunView["device"];
}

/** What was found right, what differs, what could not be compared. */
export interface Verification extends VerifiedRun {
  /** Of the steps that were done again. */
  readonly replay: Replay | undefined;
  /** Nothing differs. */
  readonly ok: boolean;
}

/**
 * Compares everything in a run's folder with its receipt; nothing is written, and what it reads comes from no cache.
 *
 * @param changes Keys of the config for this call: where the base lies now, the engine of a replay.
 * @throws InputError (code `input`) if there is no run, or the range is not in its receipt.
 * @example
 * const { ok, problems } = await verify("runs/first", {}, { replay: { from: 5, to: 20 } });
 */
export async function verify(
  directory: string,
  changes: RunChanges = {},
  options: VerifyOptions = {},
): Promise<Verification> {
  const { replay: range, onPhase = () => {}, onWarning = () => {}, onDevice = () => {} } = options;
  const { signal = new AbortController().signal } = options;
  const config = await readRunConfig(directory, changes);
  await checkLinks(config, [config.initAdapter]);
  const verified = await verifyRun(config, await readBase(config, () => {}));
  const again = async (steps: StepRange) => {
    const inputs = await openInputs(config, { onPhase, onWarning, signal }, "passed over");
    return await replayRun(config, inputs, steps, { phase: onPhase, device: onDevice, signal });
  };
  const replay = range && (await again(range));
  const ok = verified.problems.length === 0 && replay?.difference === undefined;
  return { ...verified, replay, ok };
}
