/** What a run reports while it runs; the status display and `--json` are two listeners. */

import type { TrainConfig } from "@zerogate/run-config";
import type { MetricsLine, SampledAnswer } from "@zerogate/run-files";
import type { DeviceEvent } from "@zerogate/workers";
import type { DataCounts } from "./data_counts.ts";
import type { RunInputs } from "./inputs.ts";
import type { Phase } from "./phase.ts";
import type { ReportData } from "./report_data.ts";
import type { Standing } from "./standing.ts";
import type { StepReport } from "./step_report.ts";

/** The calls that a run makes while it goes on. */
export interface RunView {
  /** Work outside the steps begins or goes on; undefined: it is done. */
  phase(phase: Phase | undefined): void;
  /** The loop begins, after `step` steps done earlier. */
  start(step: number, config: TrainConfig, inputs: RunInputs): void;
  /** `report` comes with steps, not with validations. */
  metrics(line: MetricsLine, report: StepReport | undefined, best: Standing["best"]): void;
  /** Held-out prompts were answered, as `sampleEvery` wishes. */
  samples(lines: readonly SampledAnswer[]): void;
  /** A checkpoint is on disk. */
  checkpoint(folder: string): void;
  /** Something is otherwise than it may have been meant, or was lost and made up for. */
  warn(message: string): void;
  /** Good to know, nothing to mend; `counts` are for the log file, the message says them in words. */
  note(message: string, counts?: DataCounts): void;
  /** A worker started, died, or its cells are computed again. */
  device(event: DeviceEvent): void;
  /** Writes the report of the finished run into its folder. Returns its path, undefined for none. */
  report(runDir: string, data: ReportData): Promise<string | undefined>;
  /** Why the run ends before its end: for the log file, the command says it itself. */
  failed(message: string): void;
}
