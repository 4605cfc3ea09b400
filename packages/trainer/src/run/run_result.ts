/** What comes out of a run. */
import type { AdapterChoice } from "./adapter_choice.ts";
import type { EvaluationResult } from "./evaluate.ts";
import type { SampleAnswer } from "./report_data.ts";
import type { Ending, Standing } from "./standing.ts";

/** How a run ended, and what came out of it. */
export interface RunResult {
  readonly ending: Ending;
  readonly steps: number;
  /** Absent if nothing is held out, or if the run was interrupted. */
  readonly base?: EvaluationResult | undefined;
  readonly adapter?: EvaluationResult | undefined;
  readonly best?: Standing["best"];
  readonly samples: readonly SampleAnswer[];
  /** Prompts and gates that training left as they were, in words. */
  readonly unmoved: readonly string[];
  /** Which state the adapter is; absent if the run was interrupted. */
  readonly choice?: AdapterChoice | undefined;
  /** The run had ended before, and nothing was done. */
  readonly hadEnded?: boolean;
  /** Folder of the trained adapter; absent if the run was interrupted. */
  readonly adapterFolder?: string | undefined;
  readonly report?: string | undefined;
  readonly durationMs: number;
}
