/** What a caller of `train` and `resume` gets to know of a run, and how it ends one. */
import type { TrainConfig } from "@zerogate/run-config";
import type { RunContext } from "../run/context.ts";
import type { RunResult } from "../run/run_result.ts";
import type { RunView } from "../run/view.ts";
import { rankView } from "../team/other_ranks.ts";
import type { Team } from "../team/team.ts";
import { withTeam } from "../team/with_team.ts";

/** Calls of a run at its begin and end. */
export interface RunMoments {
  /** The run directory holds a run from here on: a log may be kept in it. */
  opened?(config: TrainConfig): void;
  /** Nothing more happens, whatever did: what was opened is to be closed. */
  closed?(): void;
  /** The last call if nothing was thrown; other processes of the run still wait for this one. */
  ended?(result: RunResult): void;
}

/** Calls that a run makes; each may be left out. Without `report` no report is written. */
export type RunListener = Partial<RunView> & RunMoments;

/** Which process of a run calls: a run of one host is rank 0 of 1. */
export type Rank = Pick<Team, "rank" | "size" | "isFirst">;

/** Listens on the first rank; a function makes what listens on any. */
export type RunListening = RunListener | ((rank: Rank) => RunListener);

/** How a run is steered from outside. */
export interface RunOptions extends Partial<Pick<RunContext, "signal" | "saveRequests">> {
  /** Receives what only this process of several can report, at once: the job may end before. @default nowhere */
  readonly onLine?: (line: string) => void;
}

/** What a run is given by its caller and by its launcher. */
export interface RunPlace extends Pick<RunContext, "team" | "view" | "signal" | "saveRequests"> {
  readonly listener: RunListener;
}

interface Task<T> {
  work(place: RunPlace): Promise<T>;
  /** Once the listener is closed, and before any process leaves. */
  cleanUp?(): Promise<void>;
  ended?(listener: RunListener, result: T): void;
}

/** Does a task with all processes that the launcher has started. Throws what it throws, of several ranks as a ReportedError. */
export async function withListener<T>(
  config: Pick<TrainConfig, "hosts" | "hostTimeout">,
  listening: RunListening,
  { onLine = () => {}, signal = new AbortController().signal, saveRequests = { count: 0 } }: RunOptions,
  task: Task<T>,
): Promise<T> {
  const stderr = { write: (text: string) => onLine(text.trimEnd()) };
  return await withTeam(config, stderr, async (team) => {
    const listener = listenerOf(listening, team, onLine);
    const closing = async () => {
      try {
        return await task.work({ team, listener, view: viewOf(listener), signal, saveRequests });
      } finally {
        listener.closed?.();
        await task.cleanUp?.();
      }
    };
    const result = await closing();
    task.ended?.(listener, result);
    return result;
  });
}

function listenerOf(listening: RunListening, team: Team, onLine: (line: string) => void): RunListener {
  if (typeof listening === "function") return listening(team);
  return team.isFirst ? listening : rankView(team.rank, onLine);
}

/** Hands the result of a run to its listener. */
export function ended(listener: RunListener, result: RunResult): void {
  listener.ended?.(result);
}

/** Calls what the listener has. */
function viewOf(listener: RunListener): RunView {
  return {
    phase: (phase) => listener.phase?.(phase),
    start: (step, config, inputs) => listener.start?.(step, config, inputs),
    metrics: (line, report, best) => listener.metrics?.(line, report, best),
    samples: (lines) => listener.samples?.(lines),
    checkpoint: (folder) => listener.checkpoint?.(folder),
    warn: (message) => listener.warn?.(message),
    note: (message, counts) => listener.note?.(message, counts),
    device: (event) => listener.device?.(event),
    report: async (runDir, data) => await listener.report?.(runDir, data),
    failed: (message) => listener.failed?.(message),
  };
}
