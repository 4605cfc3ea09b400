/** `@zerogate/trainer/command`: parts of opening, running and checking, for the command `zerogate`; no promise to anybody else. */

// Opening.

export { type PlanOnly, planOnly } from "./entry/estimate.ts";
export { type MeasuredDevice, measureDevice } from "./entry/measure_device.ts";
export { promptOf } from "./open/answer.ts";
export { loadBase, type OpenedBase, openBase } from "./open/base.ts";
export { lengthFor, openData, type Progress, wholeSet } from "./open/data.ts";
export { endTokens } from "./open/end_tokens.ts";
export { queryMakerOf } from "./open/frozen_queries.ts";
export { checkLinks } from "./open/links.ts";
export { adapterFolder, locateModel, namedBase } from "./open/locate.ts";
export { modelHere } from "./open/model.ts";
export { type PromptFlags, promptFormatOf } from "./open/prompt_format.ts";
export { type OpenedTower, openTowerOf } from "./open/tower.ts";
export { type Rehearsal, type RehearsalRequest, rehearse } from "./rehearse/rehearse.ts";
export type { RehearsedStep } from "./rehearse/step_recorder.ts";
export { type BusyDevices, busyDevices, idleAdvice } from "./run/busy.ts";
export { workersProblem } from "./run/capacity.ts";
export { dataWarnings, describeCounts } from "./run/data_counts.ts";
export {
  type DeviceSpeed,
  deviceSpeeds,
  type EstimateRequest,
  estimateRun,
  type TimeEstimate,
  whatLimits,
} from "./run/estimate.ts";
export { estimateMemory, imageMemory, type MemoryEstimate } from "./run/memory_estimate.ts";

// Running.

export { startDevices } from "./run/devices.ts";
export { evaluateHeldOut } from "./run/evaluate.ts";
export type { RunInputs } from "./run/inputs.ts";
export { answerLosses } from "./score/answer_losses.ts";
export { imageConditions } from "./score/image_conditions.ts";
export { evaluateScience, type ScienceEvaluation } from "./score/science.ts";
export { PASS_TOKENS } from "./score/score_items.ts";
export { answerTask, type TaskAnswering } from "./score/task_answers.ts";
export { type AnsweredItem, summarize, type TaskSummary } from "./score/task_summary.ts";
export { evaluateWritten, type WrittenEvaluation } from "./score/written_answers.ts";
export { rankView } from "./team/other_ranks.ts";
export type { Team } from "./team/team.ts";
export { withTeam } from "./team/with_team.ts";

// Run folders.

export { readAccepted } from "./run/accepted.ts";
export { chooseAdapter, describeChoice } from "./run/adapter_choice.ts";
export { endedRun } from "./run/ended.ts";
export { isEarlyStop } from "./run/loop.ts";
export { checkOwnNames } from "./run/own_names.ts";
export { readRunConfig, readStoredConfig } from "./run/run_folder.ts";
export { totalStepsOf } from "./run/run_length.ts";

// Clusters.

export { type Cores, coresHere, pinnedRanks } from "./cluster/cores.ts";
export { type Launch, type LauncherName, launcherNames, launchFiles } from "./cluster/launch_files.ts";

// Numbers for people.

export { formatCount, formatDuration, formatLoss, formatShare, formatSmall } from "./run/format.ts";
