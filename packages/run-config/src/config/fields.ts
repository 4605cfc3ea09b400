/** What each key of a run config may hold, its default, and what `--help` and error messages say about it. */
import { availableParallelism } from "node:os";
import { bosRules } from "@zerogate/core/light";
import * as z from "zod";
import { engineNames, isEnginePath } from "../engines/rows.ts";
import {
  MAX_ANSWERS,
  MAX_LAYERS,
  MAX_MINUTES,
  MAX_PROMPT_LENGTH,
  MAX_SECONDS,
  MAX_SEQUENCES,
  MAX_STEPS,
  MAX_TOKENS,
  MAX_WORKERS,
} from "./limits.ts";
import {
  badNumberPolicies,
  type ConfigKey,
  computeNames,
  hostKinds,
  logLevels,
  packingNames,
  presetNames,
  storageNames,
  type TrainConfig,
} from "./train_config.ts";

/** `expects` completes the sentence “batchSize is 0, expected …”. */
interface Kind<T> {
  readonly type: z.ZodType<T>;
  readonly expects: string;
  /** How `--help` shows the value; undefined for a switch, which takes none. */
  readonly argument: string | undefined;
  /** All values, if they are a few words. */
  readonly choices?: readonly string[];
}

/** What a key may hold, and what is said of it. */
export interface Field<T> extends Kind<T> {
  readonly description: string;
  /** Undefined if the key must be given, may stay away, or stands back behind its alternatives. */
  readonly fallback: T | undefined;
  readonly required: boolean;
  /** What earlier versions did, oldest first: a run goes on as the version that began it. */
  readonly earlier?: readonly Earlier<T>[];
  /** Version that added the key, undefined for keys of 0.1.0. Only keys with a default may be added: runs store those always. */
  readonly since?: string;
}

/** The default of all versions before `before`; of a key that was not there yet, what they did. */
interface Earlier<T> {
  readonly before: string;
  readonly value: T;
}

const count = (min: number, max: number): Kind<number> => ({
  type: z.int().min(min).max(max),
  expects: `a whole number of at least ${min} and at most ${max}`,
  argument: "<n>",
});

const share: Kind<number> = {
  type: z.number().min(0).lt(1),
  expects: "a number from 0 to below 1",
  argument: "<x>",
};

const positive: Kind<number> = { type: z.number().positive(), expects: "a number above 0", argument: "<x>" };

const notNegative: Kind<number> = { type: z.number().min(0), expects: "a number of at least 0", argument: "<x>" };

const upTo = (kind: Kind<number>, max: number): Kind<number> => ({
  ...kind,
  type: kind.type.refine((value) => value <= max),
  expects: `${kind.expects} and at most ${max}`,
});

const onOff: Kind<boolean> = { type: z.boolean(), expects: "true or false", argument: undefined };

const path = (expects: string, argument: string): Kind<string> => ({ type: z.string().min(1), expects, argument });

const files: Kind<readonly string[]> = {
  type: z.array(z.string().min(1)).min(1),
  expects: "one or more files",
  argument: "<files...>",
};

const gpus: Kind<readonly number[]> = {
  type: z.array(z.int().min(0)).min(1),
  expects: "numbers of GPUs, as 0,1,2",
  argument: "<n,n,...>",
};

function oneOf<T extends string>(names: readonly T[]): Kind<T> {
  return {
    type: z.literal(names),
    expects: `one of ${names.join(", ")}`,
    argument: "<name>",
    choices: names,
  };
}

const engine: Kind<string> = {
  type: z.string().refine((name) => engineNames.includes(name) || isEnginePath(name)),
  expects: `one of ${engineNames.join(", ")}, or the path of a module`,
  argument: "<name>",
  choices: engineNames,
};

const required = <T>(kind: Kind<T>, description: string): Field<T> => ({
  ...kind,
  description,
  fallback: undefined,
  required: true,
});

const optional = <T>(kind: Kind<T>, description: string, fallback?: T): Field<T> => ({
  ...kind,
  description,
  fallback,
  required: false,
});

/** A key that 0.1.0 did not have: `before` is what runs of versions before `since` did. */
export const added = <T>(since: string, before: T, field: Field<T>): Field<T> => ({
  ...field,
  since,
  earlier: [{ before: since, value: before }],
});

/** In the order in which `--help` and docs/config.md list them. */
export const fields: { readonly [K in ConfigKey]-?: Field<NonNullable<TrainConfig[K]>> } = {
  preset: optional(oneOf(presetNames), "settings to start from"),

  model: required(path("the folder of a model", "<dir>"), "folder of the frozen base model"),
  links: added("0.2.0", false, optional(onOff, "follow links that lead out of a model's or adapter's folder", true)),
  data: required(files, "instruction files, Alpaca JSON or JSONL"),
  out: required(path("the folder of the run", "<dir>"), "run directory"),
  validationData: optional(files, "held-out files (default: a share of the data)"),
  valFraction: optional(share, "share of the records held out, 0 = no validation", 0.05),
  template: optional(
    path("alpaca, plain or a file", "<name|file>"),
    "prompt template: alpaca, plain or a file",
    "alpaca",
  ),
  bos: added(
    "0.2.0",
    "named",
    optional(oneOf(bosRules), "what goes in front: what tokenizer.json says, or any BOS that is named", "tokenizer"),
  ),
  labels: optional(oneOf(["response", "all"]), "tokens that the loss counts", "response"),
  maxLength: optional(
    count(2, MAX_TOKENS),
    "tokens per record, longer ones are cut (default: 512, or the model's context)",
  ),
  maxDropped: added(
    "0.2.0",
    1,
    optional(
      { ...share, type: z.number().min(0).max(1), expects: "a number from 0 to 1" },
      "share of records that may be left out because nothing of their answer fits, 1 = all",
      0.05,
    ),
  ),
  skipBadRecords: optional(onOff, "leave out records that cannot be read", false),
  cacheDir: optional(path("a folder", "<dir>"), "folder of the token cache (default: the user's cache folder)"),

  seed: optional(count(0, 0xffff_ffff), "decides shuffle, split and first prompts", 0),
  epochs: optional(upTo(positive, MAX_STEPS), "passes over the data, may be fractional", 3),
  steps: optional(count(1, MAX_STEPS), "optimizer steps, instead of epochs"),
  batchSize: optional(count(1, MAX_SEQUENCES), "sequences per optimizer step over all workers", 32),
  cellTokens: optional(count(1, MAX_TOKENS), "packed tokens per cell, part of the run's identity", 2048),
  cellMultiple: added(
    "0.2.0",
    0,
    optional(count(0, MAX_WORKERS), "cut even cells, in number a multiple of it; 0: fill one cell after the other", 0),
  ),
  dropLast: optional(onOff, "leave out the last, smaller batch of an epoch", false),

  adapterLen: optional(count(1, MAX_PROMPT_LENGTH), "prompt tokens per adapted layer", 10),
  adapterLayers: optional(count(1, MAX_LAYERS), "adapted layers from the output side (default: all but 2)"),
  gateSharing: optional(oneOf(["scalar", "per-head"]), "one gate a layer or one a head", "scalar"),
  gateActivation: optional(oneOf(["none", "tanh"]), "what the gate goes through", "none"),
  outputBias: optional(
    oneOf(["once", "twice"]),
    "how often adapted layers add the bias of the output projection, once if not given, PEFT: twice",
  ),
  adapterDtype: optional(oneOf(["f32", "bf16", "f16"]), "numbers in the finished adapter", "f32"),
  adapterFrom: added(
    "0.2.0",
    "last",
    optional(oneOf(["best", "last"]), "state that becomes the adapter, best: of the lowest held-out loss", "best"),
  ),
  initStd: optional(positive, "standard deviation of the first prompts", 1),
  initAdapter: optional(path("the folder of an adapter", "<dir>"), "adapter to start from"),

  lr: optional(positive, "peak learning rate", 5e-3),
  blr: optional(positive, "base learning rate, the peak is blr * batch size / 256"),
  schedule: optional(oneOf(["cosine", "linear", "constant"]), "learning rate after the warm-up", "cosine"),
  warmupSteps: optional(count(0, MAX_STEPS), "warm-up in steps"),
  warmupEpochs: optional(upTo(notNegative, MAX_STEPS), "warm-up in epochs, may be fractional"),
  warmupRatio: optional(share, "warm-up as a share of all steps", 0.03),
  minLr: optional(notNegative, "learning rate at the end of the schedule", 0),
  beta1: optional(share, "AdamW: decay of the mean", 0.9),
  beta2: optional(share, "AdamW: decay of the mean square", 0.999),
  eps: optional(positive, "AdamW: added to the root", 1e-8),
  weightDecay: optional(notNegative, "AdamW: decoupled weight decay", 0.01),
  decayGroup: optional(oneOf(["all", "original", "none"]), "what decays", "all"),
  clipNorm: optional(notNegative, "largest gradient norm, 0 = no clipping", 1),

  evalEvery: optional(count(0, MAX_STEPS), "steps between validations, 0 = every epoch", 0),
  evalAtStart: optional(onOff, "validate before the first step", true),
  earlyStopping: optional(
    count(0, MAX_STEPS),
    "stop after this number of validations without a new best, 0 = never",
    0,
  ),
  saveEvery: optional(count(0, MAX_STEPS), "steps between checkpoints, 0 = every epoch", 0),
  saveMinutes: optional(upTo(notNegative, MAX_MINUTES), "minutes between checkpoints at most, 0 = no limit", 10),
  keepCheckpoints: optional(count(1, MAX_STEPS), "newest checkpoints that stay", 3),
  keepEvery: optional(count(0, MAX_STEPS), "checkpoints at multiples of it stay too, 0 = none", 0),
  diskPatience: optional(upTo(notNegative, MAX_MINUTES), "minutes to wait at the end for a disk that refuses", 10),
  onBadNumbers: optional(oneOf(badNumberPolicies), "what to do with a step whose numbers are not finite", "stop"),
  rollbackSteps: optional(count(1, MAX_STEPS), "steps that rollback takes back", 10),
  reportAnswers: optional(count(0, MAX_ANSWERS), "held-out prompts answered for the report", 8),

  engine: optional(engine, "what computes, auto: the fastest here; or the path of a module of your own", "auto"),
  compute: optional(oneOf(computeNames), "arithmetic of matrix products", "f32"),
  storage: optional(oneOf(storageNames), "how the base's linear maps are held in memory", "as-is"),
  strictTensors: added("0.2.0", false, optional(onOff, "refuse a base with tensors that nothing reads", false)),
  packing: optional(oneOf(packingNames), "keep packed copies of the linear maps, auto: of small bases", "auto"),
  workers: optional(
    count(1, MAX_WORKERS),
    "device workers (default: all cores, of cuda all GPUs)",
    availableParallelism(),
  ),
  devices: optional(gpus, "GPUs of the engine cuda, a worker each (default: the first that it can use)"),
  isolate: optional(onOff, "device workers as processes of their own", false),
  workerTimeout: optional(
    upTo(notNegative, MAX_SECONDS),
    "seconds without a sign of life until a worker is replaced, 0 = never",
    60,
  ),
  hosts: optional(oneOf(hostKinds), "processes that train together, auto: those that an MPI launcher started", "auto"),
  broadcastWeights: optional(onOff, "rank 0 reads the base and sends it to all hosts, which keep a copy", false),
  hostTimeout: optional(
    upTo(positive, MAX_SECONDS),
    "seconds that a host may be late, besides ten times the longest step",
    300,
  ),
  logLevel: optional(oneOf(logLevels), "level of log.jsonl and stderr, info if not given"),
};

/** All keys, in the order of help and docs/config.md. */
export const configKeys: readonly ConfigKey[] = Object.keys(fields) as ConfigKey[];

/** Keys that exclude each other; naming one sets the others aside. Within one source the first named here wins. */
export const alternatives: readonly (readonly ConfigKey[])[] = [
  ["steps", "epochs"],
  ["lr", "blr"],
  ["warmupSteps", "warmupEpochs", "warmupRatio"],
];

/** Checks merged sources, defaults among them. Unknown keys and missing required ones are issues, too. */
export const schema: z.ZodType<TrainConfig> = z.strictObject(
  Object.fromEntries(
    configKeys.map((key) => {
      const field: Field<unknown> = fields[key];
      return [key, field.required ? field.type : field.type.optional()];
    }),
  ),
) as unknown as z.ZodType<TrainConfig>;
