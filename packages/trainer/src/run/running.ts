/** What a run has from its first step to its report, and what comes out of it. */

import type { TrainConfig } from "@zerogate/run-config";
import type { CheckpointWriter, RunLock, SharedNumbers } from "@zerogate/run-files";
import type { DevicePool } from "@zerogate/workers";
import type { Team } from "../team/team.ts";
import type { AdapterChoice } from "./adapter_choice.ts";
import type { EvaluationResult } from "./evaluate.ts";
import type { RunInputs } from "./inputs.ts";
import type { Ending, RunControl, Standing } from "./loop.ts";
import type { SampleAnswer } from "./report_data.ts";
import type { RunView } from "./view.ts";

/** What stays the same over the sessions of a run. */
export interface Running {
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
  readonly numbers: SharedNumbers;
  readonly pool: DevicePool;
  readonly writer: CheckpointWriter;
  readonly view: RunView;
  readonly control: RunControl;
  readonly team: Team;
  readonly lock: RunLock;
}

export interface RunResult {
  readonly ending: Ending;
  readonly steps: number;
  /** Absent where nothing is held out, or where the run was interrupted. */
  readonly base?: EvaluationResult | undefined;
  readonly adapter?: EvaluationResult | undefined;
  readonly best?: Standing["best"];
  readonly samples: readonly SampleAnswer[];
  /** Prompts and gates that training left as they were, in words. */
  readonly unmoved: readonly string[];
  /** Which state the adapter is; absent where the run was interrupted. */
  readonly choice?: AdapterChoice | undefined;
  /** The run had ended before, and nothing was done. */
  readonly hadEnded?: boolean;
  /** Folder of the trained adapter; absent where the run was interrupted. */
  readonly adapterFolder?: string | undefined;
  readonly report?: string | undefined;
  readonly durationMs: number;
}
