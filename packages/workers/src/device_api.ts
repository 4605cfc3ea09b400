/** Requests to a device worker and its answers: plain data, shared memory if it is large. */
import type {
  AdapterLayout,
  Cell,
  FinishReason,
  GenerateOptions,
  ModelConfig,
  WeightImage,
  WeightStorage,
} from "@zerogate/core";
import type { Engine, WeightDType } from "@zerogate/core/engine";
import type { BaseIdentity, SampleTokens } from "@zerogate/core/node";
import type { BadNumbers, Slot } from "@zerogate/core/training";

/** A module that exports `createEngine`, and what it is called with. */
export interface EngineModule {
  /** URL, or a name that resolves from this package: `import.meta.resolve` your own. */
  readonly module: string;
  /** Plain data. The worker adds `cancel`: see `CreateEngine`. */
  readonly options?: object | undefined;
}

/**
 * The export of an engine module. `device` counts from 0; if there are several cards, it is the card's number. Once
 * element 0 of `cancel` is not 0 the worker begins no operation; an engine whose operations take long ends them as well.
 */
export type CreateEngine = (options: object, device: number) => ClosableEngine | Promise<ClosableEngine>;

/** `close` gives back what the end of a thread does not, such as memory of a GPU: it is called when the device ends. */
export type ClosableEngine = Engine & { close?(): void };

/** A base that each worker reads for itself. */
export interface WeightFolder {
  /** Absolute. */
  readonly folder: string;
  /** What the engine takes as it is; everything else is widened to f32. */
  readonly weightDtypes: readonly WeightDType[];
  /** See `LoadOptions` of core. */
  readonly mapFiles?: boolean;
  readonly storage?: WeightStorage;
  /** What the folder must hold, if that is known: a worker that finds another base refuses to load it. */
  readonly base?: BaseIdentity;
}

/** One adapter of a pool: a run has as many as it trains on its base. */
export interface DeviceJob {
  /** Unlike that of every other job of the pool. */
  readonly id: string;
  readonly layout: AdapterLayout;
  /** Over a SharedArrayBuffer. The coordinator writes between calls only, and with every change names a new version. */
  readonly params: Float32Array;
  /** Computes what samples of a cell begin alike with once. Default false. */
  readonly sharesBeginnings?: boolean | undefined;
  /** Computes the last layer for labelled tokens alone. Default false. */
  readonly skipsUnlabelled?: boolean | undefined;
}

/** All that a worker needs; the same for every worker. Arrays over SharedArrayBuffers are not copied. */
export interface DeviceSetup {
  readonly engine: EngineModule;
  /**
   * Module whose `addFixedPoint`, `wideLinear` and `wideLinearBackward` take the place of core's if the engine has none: URL,
   * or a name that resolves from this package. @default core's own
   */
  readonly sums?: string | undefined;
  readonly config: ModelConfig;
  /** An image is shared by all threads of this process; a device in a process of its own needs the folder. */
  readonly weights: WeightImage | WeightFolder;
  /** None if the base alone is evaluated or asked. */
  readonly jobs: readonly DeviceJob[];
  /** `train` is what steps are made of; evaluation may name any. */
  readonly tokens: { readonly train: SampleTokens; readonly [set: string]: SampleTokens };
}

/** A job's adapter at a point of its training. */
export interface AdapterVersion {
  readonly job: string;
  /** Names the parameters: a worker reads them again when it changes. */
  readonly version: number;
}

/** One cell of a training step. */
export interface CellRequest extends AdapterVersion {
  readonly step: number;
  /** Number of the cell within the step. */
  readonly cell: number;
  /** Samples of `tokens.train`, in this order. */
  readonly samples: readonly number[];
  /** 1 / labelled tokens of the whole step. */
  readonly scale: number;
  /** Of this worker and this job alone; the gradient is added to it. */
  readonly slot: Slot;
  /** What is in the slot is of an earlier step: it is emptied first. */
  readonly clears: boolean;
}

export interface CellResult {
  readonly cell: number;
  /** Nats, summed over the labelled tokens. */
  readonly lossSum: number;
  readonly labelledTokens: number;
  /** What could not be added to the slot. */
  readonly bad: BadNumbers | undefined;
  /** From packing to the end of the addition. */
  readonly computeMs: number;
  /** When the device began, in the time of `monotonicMs`. */
  readonly startedAt: number;
}

export interface EvaluationRequest {
  readonly set: string;
  readonly samples: readonly number[];
  /** Undefined: the base model alone. */
  readonly adapter: AdapterVersion | undefined;
}

export interface LossSum {
  /** Nats, summed over the labelled tokens. */
  readonly lossSum: number;
  readonly labelledTokens: number;
  /** Samples of which greedy decoding would give every labelled token. */
  readonly exactSamples: number;
}

/** A cell that several adapters score in one pass. */
export interface ScoreRequest {
  readonly cell: Cell;
  /** Undefined: the base model alone. */
  readonly adapters: readonly (AdapterVersion | undefined)[];
}

export interface GenerationRequest {
  readonly promptIds: readonly number[];
  /** Undefined: the base model alone. */
  readonly adapter: AdapterVersion | undefined;
  /** Plain data, so without the signal. */
  readonly options: Omit<GenerateOptions, "signal">;
}

export interface Generated {
  /** The tokens that follow the prompt. */
  readonly ids: readonly number[];
  readonly finishReason: FinishReason;
}

/** The calls of a device worker, one at a time. It keeps no training state: any worker can take over any request. */
export interface DeviceApi {
  /** Comes first. Throws an InputError if the engine module cannot be used. */
  load(setup: DeviceSetup, device: number): Promise<{ engineName: string }>;
  computeCell(request: CellRequest): Promise<CellResult>;
  evaluateCell(request: EvaluationRequest): Promise<LossSum>;
  /** Returns for each adapter the loss of each labelled token, in nats. */
  scoreCell(request: ScoreRequest): Promise<Float32Array[]>;
  /** Throws an InputError if the prompt does not fit the model. */
  generate(request: GenerationRequest): Promise<Generated>;
}
