/** `@zerogate/run-files`: what a run writes and reads again: checkpoints, receipt, metrics, lock. */
export { type Checkpoint, loadCheckpoint, saveCheckpoint } from "./checkpoint/checkpoint.ts";
export { checkpointFolder, listCheckpoints, setAside } from "./checkpoint/folders.ts";
export { newestCheckpoint } from "./checkpoint/newest.ts";
export { proofOf } from "./checkpoint/proof.ts";
export { decodeRunState, type RunState, type SkippedStep } from "./checkpoint/run_state.ts";
export { trainedLayout, workerLayout } from "./checkpoint/trained_parts.ts";
export type { SharedNumbers } from "./checkpoint/write_worker.ts";
export { type CheckpointWriter, openCheckpointWriter } from "./checkpoint/writer.ts";
export { type AppendFile, openAppendFile } from "./files/append_file.ts";
export { placeProblem } from "./files/new_place.ts";
export { patiently } from "./files/retry_disk.ts";
export { createTrouble } from "./files/trouble.ts";
export { checkUnlocked, findWriter, isLockName, lockRun, type RunLock, type Writer } from "./lock/lock.ts";
export { beatTimes } from "./lock/lock_beat.ts";
export { ownRecord, processStart, readRecord } from "./lock/lock_record.ts";
export { readEvents } from "./metrics/event_reader.ts";
export {
  type Metrics,
  type MetricsFile,
  metricsPath,
  openMetrics,
  readMetrics,
  readMetricsFile,
} from "./metrics/metrics_file.ts";
export { type EvaluationMetrics, isEvaluation, type MetricsLine, type StepMetrics } from "./metrics/metrics_line.ts";
export { openSamples, readSamples, type SampledAnswer, type SamplesFile, samplesPath } from "./metrics/samples_file.ts";
export type { SteppedFile } from "./metrics/stepped_lines.ts";
export { type EventFile, openEventFile } from "./metrics/tensorboard.ts";
export {
  momentsDigest,
  paramsDigest,
  type ReadReceipt,
  type ReceiptBody,
  type ReceiptLine,
  readReceipt,
} from "./receipt/receipt.ts";
export { loadReceipt, openReceipt, type ReceiptFile, receiptPath } from "./receipt/receipt_file.ts";
