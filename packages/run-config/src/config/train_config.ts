/** One training run, completely described. docs/config.md is the same list for users; a test keeps the two together. */
import type { AdapterSettings, BosRule, MissingImage, OutputBias, TurnRule, WeightStorage } from "@zerogate/core";
import type { ConversationRule, FieldRule, ScienceFormat } from "@zerogate/data";
import type { DataEntry } from "./data_entries.ts";

export const presetNames = ["paper", "peft", "quick", "scienceqa", "captions"] as const;
/** Values of the key `compute`. */
export const computeNames = ["auto", "f32", "bf16"] as const;
export const packingNames = ["auto", "always", "never"] as const;
export const badNumberPolicies = ["stop", "skip", "rollback"] as const;
export const hostKinds = ["auto", "local", "mpi"] as const;
/** Values of the key `logLevel`, from all to nothing. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "silent"] as const;

export type PresetName = (typeof presetNames)[number];
/** What is logged: this level and those above it. */
export type LogLevel = (typeof logLevels)[number];

/**
 * The resolved config: every default applied, every path absolute. Stored as `config.json` in the run directory, so a
 * run can be repeated from its output alone. Of `steps`/`epochs`, of `lr`/`blr` and of the three `warmup…` keys exactly
 * one is set.
 */
export interface TrainConfig extends AdapterSettings {
  /** The preset that the other keys started from. */
  readonly preset?: PresetName | undefined;

  /** Folder of the frozen base: `config.json`, safetensors, `tokenizer.json`; or a GGUF file. */
  readonly model: string;
  /** Folder of the tokenizer, or a GGUF file that has it; `model`: the base's own. */
  readonly tokenizer: string;
  /** Follow links of files that lead out of the folders of `model`, `tokenizer` and `initAdapter`; off for what a stranger packed. */
  readonly links: boolean;
  /** Files of records, folders of them; or parts of a mixture. */
  readonly data: readonly DataEntry[];
  /** Which columns are the fields of a record: found by their names, or a map of fields to columns. */
  readonly fields: FieldRule;
  /** Run directory. */
  readonly out: string;
  /** Held-out files. Without them `valFraction` of `data` is held out. */
  readonly validationData?: readonly string[] | undefined;
  /** Share of the records held out, chosen by record and seed. 0 = no validation. Not used when `validationData` is set. */
  readonly valFraction: number;
  /** `alpaca`, `plain`, `scienceqa`; of chats `chat` (the model's own), `chatml`, `zephyr`; or a template file. */
  readonly template: string;
  /** Which turns of the assistant are trained, under a template of chats. */
  readonly turns: TurnRule;
  /** What goes in front of a text: what tokenizer.json's post-processor puts there, or the `bos_token` wherever one is named. */
  readonly bos: BosRule;
  /** Which tokens the loss counts: those of the response, or all but the first. */
  readonly labels: "response" | "all";
  /** Tokens per record; longer ones are cut at the end, counted and reported. Default: 512, or the model's context if shorter. */
  readonly maxLength?: number | undefined;
  /** Share of the records that may be left out because nothing of their answer fits into `maxLength`; more is refused. */
  readonly maxDropped: number;
  /** Leave out records that cannot be read (counted, reported) instead of refusing the file. */
  readonly skipBadRecords: boolean;
  /** Folder of the token cache. Default: `zerogate` in the user's cache folder. */
  readonly cacheDir?: string | undefined;
  /** Megabytes of tokens in memory, of a set without images; a larger set stays in the token cache and is read cell by cell. */
  readonly tokenMemory: number;

  /** Folder of the tower (CLIP, ViT, SigLIP) that sees the images of records; `none`: a text run, which reads no images. */
  readonly tower: string;
  /** Folder that images must be in, from which their paths go; `beside-data`: that of each data file. */
  readonly imageRoot: string;
  /**
   * How images enter an adapter: a projection of vectors, one vector for all prompts (`global`, LLaMA-Adapter v1), or a transformer
   * over tokens, a vector for each prompt (`query`, V2).
   */
  readonly fusion: "global" | "query";
  /** Which states of the tower describe an image: `global`, what the fusion takes, or names by comma, see `parseFeatures` of core. */
  readonly features: string;
  readonly featureNorm: "layer" | "none";
  /** Units of the projection, h. 0 = 68 for features of 4096 numbers or more (CLIP ViT-L/14), else 32. */
  readonly projectionSize: number;
  /** Of the transformer of `query`. 0 = what the tower's tokens have. */
  readonly visionEmbed: number;
  /** 0 = 8 for a width of 512 or more, else 2. */
  readonly visionBlocks: number;
  /** 0 = 16 for a width of 512 or more, else 4. */
  readonly visionHeads: number;
  /** 0 = four times the width. */
  readonly visionMlp: number;
  /** What a record without an image gets: nothing, with the bits of a text run, features of zeros, or what the tower sees in zeros. */
  readonly missingImage: MissingImage;
  /** What several images of a record become: `fusion`, what the fusion does with them, the mean of their features, or all their tokens. */
  readonly severalImages: "fusion" | "mean" | "concat";
  /** Factor on the learning rate of what is trained for images. */
  readonly visionLearningRate: number;
  /** Whether what makes vectors of images is trained; if not, they are made once. */
  readonly visionParts: "trained" | "frozen";
  readonly channelOrder: "rgb" | "bgr";
  /** Whether photos are turned as their EXIF data says. */
  readonly exif: "apply" | "ignore";
  /** How problems of ScienceQA are written, and what their answer is, in the authors' names. */
  readonly scienceFormat: ScienceFormat;
  /** Captions of ScienceQA's images join the hints. */
  readonly captions: boolean;
  /** Which answers of a conversation are records: all, each after what was said before, or the first. */
  readonly conversation: ConversationRule;

  /** Decides the shuffle, the validation split and the first prompts. */
  readonly seed: number;
  /** Passes over the training records. A fraction is one of their steps, rounded. */
  readonly epochs?: number | undefined;
  /** Optimizer steps; wins over `epochs`. */
  readonly steps?: number | undefined;
  /** Sequences per optimizer step, summed over all workers. */
  readonly batchSize: number;
  /**
   * Packed tokens per cell, at most (a longer sequence gets a cell of its own). Part of the run's identity, because the
   * cells decide the rounding of the gradient; the number of workers never is.
   */
  readonly cellTokens: number;
  readonly cellMultiple: number;
  /** Samples of a cell that begin alike compute what they share once. Part of the run's identity: sums are rounded otherwise. */
  readonly sharedBeginnings: boolean;
  /**
   * The last layer computes queries, attention's output and MLP for labelled tokens alone. Part of the run's identity: engines whose
   * products depend on the number of their rows round otherwise.
   */
  readonly skipUnlabelled: boolean;
  /** Leave out the last, smaller batch of an epoch. */
  readonly dropLast: boolean;

  /** Prompt tokens per adapted layer, K: PEFT's `adapter_len`. */
  readonly adapterLen: number;
  /** Adapted layers counted from the output side, L: PEFT's `adapter_layers`. Default: the model's layers − 2, at least 1. */
  readonly adapterLayers?: number | undefined;
  /** On a base with a bias in its output projection (`attention_bias`): `once` (default), or `twice` as PEFT computes. */
  readonly outputBias?: OutputBias | undefined;
  /** How `RUN/adapter` stores its numbers. Training and checkpoints always use f32. */
  readonly adapterDtype: "f32" | "bf16" | "f16";
  /** Which state becomes `RUN/adapter`: that of the lowest held-out loss, or the last. Without validation always the last. */
  readonly adapterFrom: "best" | "last";
  /** Standard deviation of the first prompts. Gates always start at 0. */
  readonly initStd: number;
  /** Adapter folder to start from instead (its shape wins over the keys above). */
  readonly initAdapter?: string | undefined;

  /** Peak learning rate. */
  readonly lr?: number | undefined;
  /** Base learning rate as in the authors' code: the peak is `blr · batchSize / 256`. */
  readonly blr?: number | undefined;
  readonly schedule: "cosine" | "linear" | "constant";
  readonly warmupSteps?: number | undefined;
  /** May be fractional. */
  readonly warmupEpochs?: number | undefined;
  /** Share of all steps. */
  readonly warmupRatio?: number | undefined;
  /** Where cosine and linear schedules end. */
  readonly minLr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled (AdamW). */
  readonly weightDecay: number;
  /** What decays: `all` prompts and gates (PEFT, torch), `original` (the authors' rule: tensors of more than one dimension), `none`. */
  readonly decayGroup: "all" | "original" | "none";
  /** Global gradient norm above which the gradient is scaled down. 0 = no clipping. */
  readonly clipNorm: number;

  /** Steps between validations. 0 = after every epoch. The last step is always validated. */
  readonly evalEvery: number;
  /** Validate before the first step too: the loss of the base. */
  readonly evalAtStart: boolean;
  /** Stop after this many validations in a row without a new best. 0 = never. */
  readonly earlyStopping: number;
  /** Steps between checkpoints. 0 = after every epoch. The last step is always saved. */
  readonly saveEvery: number;
  /** Minutes after which a checkpoint is made in any case. 0 = never. */
  readonly saveMinutes: number;
  /** How many of the newest checkpoints stay. The best one always stays as well. */
  readonly keepCheckpoints: number;
  /** Checkpoints at multiples of this number of steps stay. 0 = none. */
  readonly keepEvery: number;
  /** Minutes that a run which is at its end waits for a disk that refuses, before it gives up. */
  readonly diskPatience: number;
  /** What is done with a step whose loss or gradient cannot be used. */
  readonly onBadNumbers: (typeof badNumberPolicies)[number];
  /** Steps that `onBadNumbers: rollback` takes back. */
  readonly rollbackSteps: number;
  /** Held-out prompts answered by base and adapter for the report. */
  readonly reportAnswers: number;
  /** Steps between the adapter's answers to these prompts, kept in `samples.jsonl`. 0 = none. Never changes the trained bits. */
  readonly sampleEvery: number;

  /** `auto`: the fastest that runs here. Runs are bit-equal on the same engine only, and a resume takes no other. */
  readonly engine: string;
  /**
   * Arithmetic of matrix products. `bf16` rounds both factors (sums stay float32): about twice as fast on the CPU engine,
   * on machines with AVX512-BF16 only; on tensor cores with `cuda`, which rounds what is between its products too. `auto`:
   * bf16 for a base in bf16 if the engine has it on every host, else f32; a run stores which it was.
   */
  readonly compute: (typeof computeNames)[number];
  /** How the linear maps of the base are held: as their files have them, or quantised to int8, fp8 (cuda), nf4 or int4 while they are read. */
  readonly storage: WeightStorage;
  /** Refuses a base with tensors that nothing reads, instead of a warning. */
  readonly strictTensors: boolean;
  /** Whether the engine `cpu` keeps packed copies of the linear maps: `auto` if both take at most 512 MiB. Never changes the bits. */
  readonly packing: (typeof packingNames)[number];
  /** Device workers; for CPU engines threads. Never changes the trained bits. */
  readonly workers: number;
  /** GPUs of the engine `cuda`, by the driver's numbers: a worker each. Default: 0 to `workers` − 1. */
  readonly devices?: readonly number[] | undefined;
  /** Device workers are processes instead of threads: a crash of the engine costs its cells only. Each holds the base. */
  readonly isolate: boolean;
  /**
   * Seconds without a sign of life until a busy worker is replaced, besides eight times the longest cell so far; five
   * times as many while it starts. 0 = never.
   */
  readonly workerTimeout: number;
  /** `auto`: all processes that an MPI launcher started train together, without one this process alone. Never changes the bits. */
  readonly hosts: (typeof hostKinds)[number];
  /** Rank 0 alone reads `model` and sends its files to all hosts, which keep a copy in `cacheDir`. Never changes the bits. */
  readonly broadcastWeights: boolean;
  /** Seconds that a host may be late until the job ends, besides ten times the longest step so far. */
  readonly hostTimeout: number;
  /** Default: `ZEROGATE_LOG_LEVEL`, else `info`. */
  readonly logLevel?: LogLevel | undefined;
}

/** A key of a run config. */
export type ConfigKey = keyof TrainConfig;

/** Keys that decide bits by what they stand for, which is compared: contents are hashed, and a checkpoint names what computed. */
export const comparedOtherwise: readonly ConfigKey[] = [
  "model",
  "tokenizer",
  "data",
  "fields",
  "validationData",
  "tower",
  "imageRoot",
  "engine",
  "compute",
];

/**
 * Keys that may change on resume: they do not change what is trained, or are compared otherwise, or concern another time:
 * `initAdapter` the first step (before which its numbers are compared), the policy for bad numbers the later ones. All other keys are part of `unsafeChanges`.
 */
export const safeToChange: readonly ConfigKey[] = [
  "preset",
  "model",
  "tokenizer",
  "links",
  "data",
  "fields",
  "out",
  "validationData",
  "tower",
  "imageRoot",
  "maxDropped",
  "cacheDir",
  "tokenMemory",
  "initAdapter",
  "adapterDtype",
  "adapterFrom",
  "saveEvery",
  "saveMinutes",
  "keepCheckpoints",
  "keepEvery",
  "diskPatience",
  "onBadNumbers",
  "rollbackSteps",
  "reportAnswers",
  "sampleEvery",
  "engine",
  "compute",
  "strictTensors",
  "packing",
  "workers",
  "devices",
  "isolate",
  "workerTimeout",
  "hosts",
  "broadcastWeights",
  "hostTimeout",
  "logLevel",
];

/** Keys that earlier versions called otherwise, by their old names: config files, flags and stored configs may use these. */
export const formerNames: Readonly<Record<string, ConfigKey>> = { samples: "reportAnswers" };
