/** What each key of a run config may hold, its default, and what `--help` and error messages say about it. */
import { availableParallelism } from "node:os";
import { adapterSettings, storageNames } from "@zerogate/core/light";
import * as z from "zod";
import { baseFields } from "./base_fields.ts";
import { imageFields } from "./image_fields.ts";
import {
  added,
  changed,
  columns,
  count,
  dataEntries,
  engine,
  type Field,
  files,
  gpus,
  notNegative,
  oneOf,
  onOff,
  optional,
  path,
  positive,
  required,
  share,
  upTo,
} from "./kinds.ts";
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
import { promptFields } from "./prompt_fields.ts";
import { tokenFields } from "./token_fields.ts";
import {
  badNumberPolicies,
  type ConfigKey,
  computeNames,
  hostKinds,
  logLevels,
  packingNames,
  presetNames,
  type TrainConfig,
} from "./train_config.ts";

/** In the order in which `--help` and docs/config.md list them. */
export const fields: { readonly [K in ConfigKey]-?: Field<NonNullable<TrainConfig[K]>> } = {
  preset: optional("Common", oneOf(presetNames), "settings to start from"),

  ...baseFields,
  data: required(
    "Data",
    dataEntries,
    "files of records: JSON, JSONL, CSV, TSV, parquet, also as .gz or .zst; folders of them; FILE=WEIGHT mixes them",
  ),
  fields: added(
    "0.2.0",
    "own",
    optional("Data", columns, "columns that are the fields of a record, auto: by their names", "auto"),
  ),
  out: required("Common", path("the folder of the run", "<dir>"), "run directory"),
  validationData: optional("Data", files, "held-out files (default: a share of the data)"),
  valFraction: optional("Data", share, "share of the records held out, 0 = no validation", 0.05),
  ...promptFields,
  ...tokenFields,

  ...imageFields,

  seed: optional("Common", count(0, 0xffff_ffff), "decides shuffle, split and first prompts", 0),
  epochs: optional("Common", upTo(positive, MAX_STEPS), "passes over the data, may be fractional", 3),
  steps: optional("Common", count(1, MAX_STEPS), "optimizer steps, instead of epochs"),
  batchSize: optional("Common", count(1, MAX_SEQUENCES), "sequences per optimizer step over all workers", 32),
  cellTokens: optional("Advanced", count(1, MAX_TOKENS), "packed tokens per cell, part of the run's identity", 2048),
  cellMultiple: added(
    "0.2.0",
    0,
    optional(
      "Advanced",
      count(0, MAX_WORKERS),
      "cut even cells, in number a multiple of it; 0: fill one cell after the other",
      8,
    ),
  ),
  sharedBeginnings: added("0.2.0", false, optional("Advanced", onOff, "compute equal beginnings once", true)),
  skipUnlabelled: added(
    "0.2.0",
    false,
    optional("Advanced", onOff, "compute the last layer for labelled tokens alone", true),
  ),
  dropLast: optional("Training", onOff, "leave out the last, smaller batch of an epoch", false),

  adapterLen: optional("Common", count(1, MAX_PROMPT_LENGTH), "prompt tokens per adapted layer", 10),
  adapterLayers: optional("Common", count(1, MAX_LAYERS), "adapted layers from the output side (default: all but 2)"),
  gateSharing: optional(
    "Adapter",
    oneOf(adapterSettings.gateSharing.values),
    "one gate a layer or one a head",
    "scalar",
  ),
  gateActivation: optional(
    "Adapter",
    oneOf(adapterSettings.gateActivation.values),
    "what the gate goes through",
    "none",
  ),
  outputBias: optional(
    "Adapter",
    oneOf(["once", "twice"]),
    "how often adapted layers add the bias of the output projection, once if not given, PEFT: twice",
  ),
  adapterDtype: optional("Adapter", oneOf(["f32", "bf16", "f16"]), "numbers in the finished adapter", "f32"),
  adapterFrom: added(
    "0.2.0",
    "last",
    optional(
      "Validation and checkpoints",
      oneOf(["best", "last"]),
      "state that becomes the adapter, best: of the lowest held-out loss",
      "best",
    ),
  ),
  initStd: optional("Adapter", positive, "standard deviation of the first prompts", 1),
  initAdapter: optional("Adapter", path("the folder of an adapter", "<dir>"), "adapter to start from"),

  lr: optional("Common", positive, "peak learning rate", 5e-3),
  blr: optional("Training", positive, "base learning rate, the peak is blr * batch size / 256"),
  schedule: optional("Training", oneOf(["cosine", "linear", "constant"]), "learning rate after the warm-up", "cosine"),
  warmupSteps: optional("Training", count(0, MAX_STEPS), "warm-up in steps"),
  warmupEpochs: optional("Training", upTo(notNegative, MAX_STEPS), "warm-up in epochs, may be fractional"),
  warmupRatio: optional("Training", share, "warm-up as a share of all steps", 0.03),
  minLr: optional("Training", notNegative, "learning rate at the end of the schedule", 0),
  beta1: optional("Training", share, "AdamW: decay of the mean", 0.9),
  beta2: optional("Training", share, "AdamW: decay of the mean square", 0.999),
  eps: optional("Training", positive, "AdamW: added to the root", 1e-8),
  weightDecay: optional("Training", notNegative, "AdamW: decoupled weight decay", 0.01),
  decayGroup: optional("Training", oneOf(["all", "original", "none"]), "what decays", "all"),
  clipNorm: optional("Training", notNegative, "largest gradient norm, 0 = no clipping", 1),

  evalEvery: optional(
    "Validation and checkpoints",
    count(0, MAX_STEPS),
    "steps between validations, 0 = every epoch",
    0,
  ),
  evalAtStart: optional("Validation and checkpoints", onOff, "validate before the first step", true),
  earlyStopping: optional(
    "Validation and checkpoints",
    count(0, MAX_STEPS),
    "stop after this number of validations without a new best, 0 = never",
    0,
  ),
  saveEvery: optional(
    "Validation and checkpoints",
    count(0, MAX_STEPS),
    "steps between checkpoints, 0 = every epoch",
    0,
  ),
  saveMinutes: optional(
    "Validation and checkpoints",
    upTo(notNegative, MAX_MINUTES),
    "minutes between checkpoints at most, 0 = no limit",
    10,
  ),
  keepCheckpoints: optional("Validation and checkpoints", count(1, MAX_STEPS), "newest checkpoints that stay", 3),
  keepEvery: optional(
    "Validation and checkpoints",
    count(0, MAX_STEPS),
    "checkpoints at multiples of it stay too, 0 = none",
    0,
  ),
  diskPatience: optional(
    "Advanced",
    upTo(notNegative, MAX_MINUTES),
    "minutes to wait at the end for a disk that refuses",
    10,
  ),
  onBadNumbers: optional(
    "Training",
    oneOf(badNumberPolicies),
    "what to do with a step whose numbers are not finite",
    "stop",
  ),
  rollbackSteps: optional("Training", count(1, MAX_STEPS), "steps that rollback takes back", 10),
  reportAnswers: optional(
    "Validation and checkpoints",
    count(0, MAX_ANSWERS),
    "held-out prompts answered for the report",
    8,
  ),
  sampleEvery: added(
    "0.2.0",
    0,
    optional(
      "Validation and checkpoints",
      count(0, MAX_STEPS),
      "steps between answers to the prompts of reportAnswers, kept in samples.jsonl, 0 = none",
      0,
    ),
  ),

  engine: optional(
    "Machine",
    engine,
    "what computes, auto: the fastest here; or the path of a module of your own",
    "auto",
  ),
  compute: changed(
    "0.2.0",
    "f32",
    optional(
      "Machine",
      oneOf(computeNames),
      "arithmetic of matrix products, auto: bf16 for a base in bf16 if the engine has it",
      "auto",
    ),
  ),
  storage: optional("Machine", oneOf(storageNames), "how the base's linear maps are held in memory", "as-is"),
  strictTensors: added(
    "0.2.0",
    false,
    optional("Model", onOff, "refuse a base with tensors that nothing reads", false),
  ),
  packing: optional(
    "Advanced",
    oneOf(packingNames),
    "keep packed copies of the linear maps, auto: of small bases",
    "auto",
  ),
  workers: optional(
    "Machine",
    count(1, MAX_WORKERS),
    "device workers (default: all cores, of cuda all GPUs)",
    availableParallelism(),
  ),
  devices: optional("Machine", gpus, "GPUs of the engine cuda, a worker each (default: the first that it can use)"),
  isolate: optional("Machine", onOff, "device workers as processes of their own", false),
  workerTimeout: optional(
    "Advanced",
    upTo(notNegative, MAX_SECONDS),
    "seconds without a sign of life until a worker is replaced, 0 = never",
    60,
  ),
  hosts: optional(
    "Machine",
    oneOf(hostKinds),
    "processes that train together, auto: those that an MPI launcher started",
    "auto",
  ),
  broadcastWeights: optional(
    "Advanced",
    onOff,
    "rank 0 reads the base and sends it to all hosts, which keep a copy",
    false,
  ),
  hostTimeout: optional(
    "Advanced",
    upTo(positive, MAX_SECONDS),
    "seconds that a host may be late, besides ten times the longest step",
    300,
  ),
  logLevel: optional("Advanced", oneOf(logLevels), "level of log.jsonl and stderr, info if not given"),
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
