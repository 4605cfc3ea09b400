/** What a report shows. */
import type { TrainConfig } from "@zerogate/run-config";
import type { Metrics, SampledAnswer } from "@zerogate/run-files";
import type { DataCounts } from "./data_counts.ts";

/** A held-out prompt, answered by base and adapter. */
export interface SampleAnswer {
  readonly prompt: string;
  /** What the data says; undefined for a prompt that is not from the data. */
  readonly expected?: string | undefined;
  readonly base: string;
  readonly adapter: string;
  /** What the adapter saw; the base saw nothing. @default nothing */
  readonly images?: readonly AnsweredImage[];
}

/** An image of a record: its path is foreign and must stay in its root. */
export interface AnsweredImage {
  readonly root: string;
  readonly path: string;
}

/** Before: the base alone. After: with the adapter that the run ends with. */
export interface BeforeAfter {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
}

/** What a report shows of a finished run. */
export interface ReportData {
  /** Name of the run. */
  readonly title: string;
  readonly createdAt: Date;
  readonly config: TrainConfig;
  /** The one that ran, for example `cpu/avx2/f32`. */
  readonly engine: string;
  /** What became of the records, of `data` and of `validationData` if it is set. */
  readonly data: readonly DataCounts[];
  readonly metrics: Pick<Metrics, "steps" | "evaluations">;
  /** Index of each adapted layer in the model, ascending: what the rows of the gate map are. */
  readonly layers: readonly number[];
  readonly summary: {
    /** In PEFT's words: `trainable params: 1,228,830 || all params: … || trainable%: …`. */
    readonly trainedParameters: string;
    readonly durationMs: number;
    /** Nats per labelled token of the held-out data. */
    readonly validationLoss: BeforeAfter;
    /** Share of held-out answers that are exactly the expected ones, 0…1. */
    readonly exactMatch: BeforeAfter;
    readonly bestStep?: number | undefined;
    /** The state that the adapter is, for example `step 60 of 60, the last`. */
    readonly adapterOf: string;
  };
  readonly samples: readonly SampleAnswer[];
  /** Answers while it went on, in the order of steps. */
  readonly watched: readonly SampledAnswer[];
  readonly versions: { readonly zerogate: string; readonly node: string };
}
