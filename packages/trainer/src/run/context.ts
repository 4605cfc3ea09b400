/** What everything of a run takes: what the run was given, and what stands while its adapter is trained. */
import type { AdamWOptions, AdamWState, StepArithmetic } from "@zerogate/core/training";
import type { TrainConfig } from "@zerogate/run-config";
import type {
  CheckpointWriter,
  EventFile,
  MetricsFile,
  ReceiptFile,
  RunLock,
  SamplesFile,
  SharedNumbers,
} from "@zerogate/run-files";
import type { AdapterVersion, DevicePool } from "@zerogate/workers";
import type { Team } from "../team/team.ts";
import type { AcceptedChange } from "./accepted.ts";
import type { RunInputs } from "./inputs.ts";
import type { ResumePoint } from "./resume.ts";
import type { Standing } from "./standing.ts";
import type { RunView } from "./view.ts";

/** What a run is given. */
export interface RunContext {
  readonly config: TrainConfig;
  readonly inputs: RunInputs;
  /** Where it goes on; undefined for a new run. */
  readonly from: ResumePoint | undefined;
  readonly view: RunView;
  /** Of this process on the run directory; whoever gives it releases it. */
  readonly lock: RunLock;
  readonly team: Team;
  /** Ends the run after the step that is under way. */
  readonly signal: AbortSignal;
  /** Checkpoints asked for so far, for example by SIGUSR1; each is made after the step that is under way. */
  readonly saveRequests: { readonly count: number };
}

/** What a job uses of a pool. */
export type JobPool = Pick<DevicePool, "engineName" | "runStep" | "evaluate" | "generateAll">;

/** One adapter being trained. Jobs of one base share a pool; `train` has one. */
export interface Job {
  /** Its name in the pool: the run directory. */
  readonly id: string;
  /** What its run was given; signal and save requests are those of all ranks, and its team waits for the other jobs. */
  readonly run: RunContext;
  /** Its calls wait for those of the other jobs. */
  readonly pool: JobPool;
  readonly writer: CheckpointWriter;
  /** Over shared memory: workers read the parameters, only a commit writes them. */
  readonly numbers: SharedNumbers;
  readonly optimizer: AdamWOptions;
  readonly arithmetic: StepArithmetic;
  /** Of the step that is committed; nothing else reads it. */
  readonly gradient: Float32Array;
  /** Changes since the run was last interrupted. */
  readonly accepted: readonly AcceptedChange[];
  /** No rollback goes further back than this many steps: other settings held before, which were changed by consent. */
  readonly floor: number;

  // What follows is taken up anew by each session.

  /** Over `numbers`, with the count of updates. */
  moments: AdamWState;
  standing: Standing;
  /** It began at its first step: the base is not validated yet, and there is no checkpoint of it. */
  isNew: boolean;
  records: RunRecords;
  /** How often the run went back, in this process. */
  rollbacks: number;
}

/** The files that grow with a run's steps. */
export interface RunRecords {
  readonly metrics: MetricsFile;
  readonly receipt: ReceiptFile;
  readonly events: EventFile;
  readonly samples: SamplesFile;
}

/** Names the job's adapter after `step` steps: never the same name twice for different parameters, also after a rollback. */
export function adapterAt(
  { id, run, rollbacks }: Pick<Job, "id" | "rollbacks"> & { readonly run: Pick<RunContext, "inputs"> },
  step: number,
): AdapterVersion {
  return { job: id, version: rollbacks * (run.inputs.totalSteps + 1) + step };
}
