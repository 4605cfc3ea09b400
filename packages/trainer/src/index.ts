/** `@zerogate/trainer`: trains, continues and checks runs, and answers with what they trained. */

// Training: a config, a run, the rest of one.

export { type RunSettings, runConfig } from "./entry/config.ts";
export { type ResumeOptions, type RunChanges, resume } from "./entry/resume.ts";
export { rewind } from "./entry/rewind.ts";
export { type PlannedRun, planRun, train } from "./entry/train.ts";
export { type Verification, type VerifyOptions, verify } from "./entry/verify.ts";
export type { Replay, StepRange } from "./run/replay.ts";
export type { Rewound } from "./run/rewind.ts";
export type { RunResult } from "./run/run_result.ts";
export type { VerifiedRun } from "./run/verify_run.ts";

// Listening: what a run reports while it goes on.

export type { Rank, RunListener, RunListening, RunMoments, RunOptions } from "./entry/listener.ts";
export type { DataCounts } from "./run/data_counts.ts";
export type { Phase } from "./run/phase.ts";
export type { AnsweredImage, BeforeAfter, ReportData, SampleAnswer } from "./run/report_data.ts";
export type { RunView } from "./run/view.ts";
export { ReportedError } from "./team/reported_error.ts";

// Answering: a base with adapters in this thread.

export { type Answer, type AnswerOptions, answer, answerAll, type Question } from "./open/answer.ts";
export { type ModelRequest, type OpenedModel, type OpeningView, openModel } from "./open/model.ts";
