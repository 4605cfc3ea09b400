/** Whether a run is going on, at its end, or ended before it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TrainConfig } from "@zerogate/run-config";
import type { RunState, Writer } from "@zerogate/run-files";
import { isEarlyStop } from "@zerogate/trainer/command";
import type { DeliveredAdapter } from "./delivered.ts";
import type { LogFacts } from "./own_lines.ts";

export interface RunStanding {
  /** `unknown`: a process that cannot be seen from here may be writing to it. */
  readonly state: "running" | "finished" | "stopped" | "failed" | "unknown";
  readonly why: string;
}

export interface RunEvidence {
  readonly path: string;
  readonly config: TrainConfig | undefined;
  readonly saved: RunState | undefined;
  readonly writer: Writer;
  readonly log: LogFacts | undefined;
  readonly adapter: DeliveredAdapter | undefined;
  readonly totalSteps: number | undefined;
}

export function standingOf(evidence: RunEvidence): RunStanding {
  const { writer, log } = evidence;
  if (writer.kind === "alive" || writer.kind === "unknown") {
    return { state: writer.kind === "alive" ? "running" : "unknown", why: writer.problem };
  }
  const missing = missingOfEnd(evidence);
  if (missing === undefined) return { state: "finished", why: endOf(evidence) };
  if (writer.kind === "dead") {
    const who = writer.record === undefined ? "its process" : `process ${writer.record.pid} on ${writer.record.host}`;
    return { state: "stopped", why: `${who} ended without a word: killed, or with its machine (${missing})` };
  }
  const { failure } = log ?? {};
  const isOfLastStart = failure && (!("record" in writer) || !writer.record || failure.time >= writer.record.since);
  if (failure && isOfLastStart) return { state: "failed", why: failure.message };
  return { state: "stopped", why: missing };
}

/** What is left to do, undefined if nothing is. */
function missingOfEnd({ path, config, saved, adapter, totalSteps }: RunEvidence): string | undefined {
  if (!saved || saved.step === 0) return "there is no checkpoint after a step yet";
  if (saved.owesEvaluation) return `the validation of step ${saved.step} is left to do`;
  const isAtEnd = saved.step === totalSteps || (config !== undefined && isEarlyStop(config, saved));
  if (!isAtEnd) return `it ended before its last step${totalSteps === undefined ? "" : `, ${totalSteps}`}`;
  if (!adapter) return "all steps are done, its adapter is left to write";
  return existsSync(join(path, "report.html")) ? undefined : "all steps are done, its report is left to write";
}

function endOf({ saved, totalSteps }: RunEvidence): string {
  return saved?.step === totalSteps ? "all its steps are done" : "stopped early: no better validation";
}
