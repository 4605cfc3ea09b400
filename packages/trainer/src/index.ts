/** `@zerogate/trainer`: from a config to a trained adapter. */
export { type Cores, coresHere, pinnedRanks } from "./cluster/cores.ts";
export { type Launch, type LauncherName, launcherNames, launchFiles } from "./cluster/launch_files.ts";
export {
  type Answer,
  type AnswerOptions,
  answer,
  answerAll,
  promptText,
  promptTokens,
  type Question,
} from "./open/answer.ts";
export { loadBase, type OpenedBase, openBase, readBase } from "./open/base.ts";
export { type DataRequest, lengthFor, openData, type Progress, wholeSet } from "./open/data.ts";
export { endTokens } from "./open/end_tokens.ts";
export { checkLinks } from "./open/links.ts";
export { adapterFolder, locateModel, namedBase } from "./open/locate.ts";
export { type ModelRequest, type OpenedModel, openModel } from "./open/model.ts";
export { type PromptFlags, promptFormatOf } from "./open/prompt_format.ts";
export { readAccepted } from "./run/accepted.ts";
export { chooseAdapter, describeChoice } from "./run/adapter_choice.ts";
export { type BusyDevices, busyDevices, idleAdvice } from "./run/busy.ts";
export { workersProblem } from "./run/capacity.ts";
export { countData, type DataCounts, dataWarnings, describeCounts } from "./run/data_counts.ts";
export { startDevices } from "./run/devices.ts";
export { endedRun } from "./run/ended.ts";
export { evaluateHeldOut } from "./run/evaluate.ts";
export { formatCount, formatDuration, formatLoss, formatShare, formatSmall } from "./run/format.ts";
export { openInputs, type RunInputs } from "./run/inputs.ts";
export { isPatienceOver } from "./run/loop.ts";
export { estimateMemory, type MemoryEstimate } from "./run/memory.ts";
export { checkOwnNames } from "./run/own_names.ts";
export type { Phase } from "./run/phase.ts";
export { firstMissing, removeEmptyStart, takeBackStart } from "./run/refused_start.ts";
export { type Replay, replayRun, type StepRange } from "./run/replay.ts";
export type { BeforeAfter, ReportData, SampleAnswer } from "./run/report_data.ts";
export { checkAcceptedFields, openCheckpoint } from "./run/resume.ts";
export { rewindRun } from "./run/rewind.ts";
export { executeRun } from "./run/run.ts";
export { checkFolderIsFree, createRunFolder, readRunConfig, readStoredConfig } from "./run/run_folder.ts";
export type { RunResult } from "./run/running.ts";
export { scheduleOf, shortenWarmup, totalStepsOf } from "./run/schedule.ts";
export { type VerifiedRun, verifyRun } from "./run/verify_run.ts";
export type { RunView } from "./run/view.ts";
export { noLock, rankView } from "./team/other_ranks.ts";
export { ReportedError } from "./team/reported_error.ts";
export { openAlike } from "./team/same_everywhere.ts";
export type { Team } from "./team/team.ts";
export { withTeam } from "./team/with_team.ts";
