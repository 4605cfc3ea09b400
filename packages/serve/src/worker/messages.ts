/** Messages between the thread that speaks HTTP and a worker that computes: plain data, shared memory if it is large. */
import type {
  AdapterState,
  ImageInput,
  ModelConfig,
  ScheduledRequest,
  SchedulerOptions,
  SubmittedEvent,
  TokenTrie,
  WeightImage,
} from "@zerogate/core";
import type { EncodedError } from "@zerogate/core/training";
import type { Pulse } from "@zerogate/workers";

/** How a worker shares its engine between texts. */
type WorkerLimits = Required<Pick<SchedulerOptions, "maxRunning" | "passTokens" | "keptTexts">> & {
  /** @default no limit */
  readonly kvTokens?: number | undefined;
  /** Adapters whose prompts are kept on the device beside those that texts use. */
  readonly keptPrompts: number;
};

/** What a worker is given at its start. */
export interface WorkerSetup {
  readonly engine: { readonly module: string; readonly options: object };
  readonly device: number;
  readonly config: ModelConfig;
  /** Over memory that all workers share. */
  readonly weights: WeightImage;
  readonly limits: WorkerLimits;
  /** The tokens of texts that follow a schema. */
  readonly trie: TokenTrie;
  readonly pulse: Pulse;
  /** Over shared memory: once element 0 is not 0, the engine stops. */
  readonly cancel: Int32Array;
}

/** A text to answer; its adapter is known to the worker by number. */
export interface TextOrder extends Omit<ScheduledRequest, "adapter" | "deadline" | "image" | "constraint"> {
  readonly adapter: number | undefined;
  readonly image?: ImageInput | undefined;
  /** The JSON Schema that its answer follows. @default any text */
  readonly schema?: unknown;
}

/** What a worker is asked for. */
export type ToWorker =
  | { readonly type: "adapter-add"; readonly adapter: number; readonly state: AdapterState }
  /** Makes its prompts, and answers once they are there. */
  | { readonly type: "adapter-prepare"; readonly adapter: number; readonly call: number }
  | { readonly type: "adapter-drop"; readonly adapter: number }
  | { readonly type: "text-submit"; readonly text: number; readonly order: TextOrder }
  | { readonly type: "text-cancel"; readonly text: number }
  | { readonly type: "worker-close" };

/** An event of a text. */
export type TextReport = { readonly text: number } & (SubmittedEvent | { readonly error: EncodedError });

/** What a worker says. */
export type FromWorker =
  | { readonly type: "worker-ready"; readonly engineName: string }
  /** Nothing that it is asked for will be answered. */
  | { readonly type: "worker-failed"; readonly error: EncodedError }
  /** All that came of a pass. */
  | { readonly type: "text-events"; readonly events: readonly TextReport[] }
  | { readonly type: "adapter-prepared"; readonly call: number; readonly error?: EncodedError };
