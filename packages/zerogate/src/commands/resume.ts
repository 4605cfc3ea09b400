/** `zerogate resume RUN`: goes on from the newest whole checkpoint, to the same bits as if it had never stopped. */
import { readModelConfig } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import type { RunLock } from "@zerogate/run-files";
import {
  checkAcceptedFields,
  endedRun,
  executeRun,
  openAlike,
  openCheckpoint,
  openInputs,
  readRunConfig,
  withTeam,
} from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { openRunView } from "./live_view.ts";
import { outcomeOf, printOutcome } from "./outcome.ts";
import { withLock } from "./with_lock.ts";

export interface ResumeFlags {
  readonly json?: boolean;
  readonly acceptChange?: readonly string[];
  readonly [key: string]: unknown;
}

export async function resumeCommand(runDir: string, flags: ResumeFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false, acceptChange = [] } = flags;
  checkAcceptedFields(acceptChange);
  const config = await readRunConfig(runDir, configFlags(flags));
  return await resume(config, acceptChange, json, context);
}

/** The rest of a run on all hosts, which may be others than before, shown live by the first. */
async function resume(
  config: TrainConfig,
  accept: readonly string[],
  json: boolean,
  context: CommandContext,
): Promise<ExitCode> {
  return await withTeam(config, context.stderr, async (team) => {
    const view = openRunView(context, json, team);
    const work = async (lock: RunLock) => {
      const model = await readModelConfig(config.model);
      const ended = await team.fromFirst("the end of the run", () => endedRun(config, model));
      if (ended) return ended;
      const inputs = await openAlike(team, config, (own) => openInputs(own, view.progress));
      const wish = { config, accept, onWarning: view.warn, onNote: view.note };
      const from = await team.fromFirst("the checkpoint", async () => {
        const point = await openCheckpoint(inputs, wish);
        view.openRunLog(config);
        return point;
      });
      return await executeRun(config, inputs, from, { view, control: context, lock, team });
    };
    const hosts = { team, hostTimeout: config.hostTimeout };
    const result = await withLock(config.out, view.warn, work, hosts).finally(() => view.close());
    return outcomeOf(result, team, () => printOutcome(config.out, result, json, context));
  });
}
