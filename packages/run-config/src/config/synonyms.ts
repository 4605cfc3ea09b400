/**
 * What the same settings are called elsewhere: transformers, PEFT, Lightning, torchrun, llama.cpp, litgpt, alpaca-lora and
 * the authors' code. One table for flags and for keys of config files, written as those programs write them; case, dashes and
 * underscores make no difference.
 */
import { storageNames } from "@zerogate/core/light";
import { flagName } from "./flag_name.ts";
import { formerNames } from "./train_config.ts";

/** Names of the same meaning in the same unit. Of two keys the first that is known where the name is used. */
const same: Readonly<Record<string, string | readonly string[]>> = {
  ...formerNames,
  model_name_or_path: "model",
  pretrained_model_name_or_path: "model",
  model_name: "model",
  model_id: "model",
  model_path: "model",
  base_model: "model",
  base_model_name_or_path: "model",
  llama_model_path: "model",
  dataset: "data",
  dataset_path: "data",
  data_path: "data",
  data_file: "data",
  data_files: "data",
  train_file: "data",
  train_data: "data",
  training_data: "data",
  test_file: "data",
  validation_file: ["validationData", "data"],
  validation_dataset: ["validationData", "data"],
  val_data: ["validationData", "data"],
  eval_data: ["validationData", "data"],
  eval_file: ["validationData", "data"],
  eval_dataset: ["validationData", "data"],
  validation_split: "valFraction",
  output: "out",
  output_dir: "out",
  out_dir: "out",
  run_dir: "out",
  prompt_template: "template",
  prompt_template_name: "template",
  max_len: "maxLength",
  max_seq_len: "maxLength",
  max_seq_length: "maxLength",
  max_sequence_length: "maxLength",
  model_max_length: "maxLength",
  cutoff_len: "maxLength",
  random_seed: "seed",

  num_epochs: "epochs",
  n_epochs: "epochs",
  max_epochs: "epochs",
  num_train_epochs: "epochs",
  max_steps: "steps",
  num_steps: "steps",
  total_steps: "steps",
  train_steps: "steps",
  max_train_steps: "steps",
  train_batch_size: "batchSize",
  global_batch_size: "batchSize",
  total_batch_size: "batchSize",
  dataloader_drop_last: "dropLast",

  adapter_length: "adapterLen",
  adapter_prompt_length: "adapterLen",
  prompt_length: "adapterLen",

  learning_rate: "lr",
  base_learning_rate: "blr",
  base_lr: "blr",
  lr_scheduler: "schedule",
  lr_scheduler_type: "schedule",
  num_warmup_steps: "warmupSteps",
  lr_warmup_steps: "warmupSteps",
  min_learning_rate: "minLr",
  adam_beta1: "beta1",
  adam_beta2: "beta2",
  adam_epsilon: "eps",
  adam_eps: "eps",
  epsilon: "eps",
  wd: "weightDecay",
  max_grad_norm: "clipNorm",
  grad_clip: "clipNorm",
  gradient_clip_val: "clipNorm",
  clip_grad_norm: "clipNorm",

  eval_steps: "evalEvery",
  eval_interval: "evalEvery",
  save_steps: "saveEvery",
  save_interval: "saveEvery",
  save_total_limit: "keepCheckpoints",
  early_stopping_patience: "earlyStopping",
  patience: "earlyStopping",

  threads: "workers",
  num_threads: "workers",
  n_threads: "workers",
  gpu_ids: "devices",
  device_ids: "devices",

  max_tokens: "maxNewTokens",
  num_predict: "maxNewTokens",
  n_predict: "maxNewTokens",
  temp: "temperature",
  stop_sequence: "stop",
  stop_words: "stop",
  adapter_path: "adapter",
  adapter_dir: "adapter",
  adapter_name_or_path: "adapter",
  peft_model: "adapter",
};

const perDevice =
  "{batchSize} counts the records of one step over all workers: give the size per device times the number of devices and " +
  "accumulation steps";
const gpus = "give {engine} cuda, and {devices} for the numbers of the GPUs (0,1) or {workers} for how many";
const numbers =
  "{compute} is the arithmetic (f32, bf16), {storage} how the base is held in memory; the base is read as its files have it";
const lora = "this is no LoRA: {adapterLen} prompts in {adapterLayers} layers are trained";

/** Names that mean something else here, with what to give instead; the keys in braces say where the name is known. */
const different: Readonly<Record<string, string>> = {
  per_device_train_batch_size: perDevice,
  per_gpu_train_batch_size: perDevice,
  micro_batch_size: perDevice,
  gradient_accumulation_steps: perDevice,
  accumulate_grad_batches: perDevice,
  accum_iter: perDevice,
  per_device_eval_batch_size:
    "the size of a validation batch changes nothing here: leave it out ({evalEvery} says when)",
  max_iters: "{steps} counts optimizer steps: divide iterations by the accumulation steps",
  val_set_size: "{valFraction} is a share of the records, from 0 to below 1",
  validation_split_percentage: "{valFraction} is a share, not a percentage: divide by 100",
  train_on_inputs: "give {labels}: all for true, response for false",
  dataset_name: "{data} names files on this disk: download the set first",
  betas: "give {beta1} and {beta2}",
  optim: "AdamW is the one optimizer: {beta1}, {beta2}, {eps} and {weightDecay} set it",
  optimizer: "AdamW is the one optimizer: {beta1}, {beta2}, {eps} and {weightDecay} set it",
  adapter_start_layer:
    "{adapterLayers} counts the adapted layers, from the output side: give the layers of the base less this",
  eval_strategy: "{evalEvery} is the steps between validations, 0 after every epoch",
  evaluation_strategy: "{evalEvery} is the steps between validations, 0 after every epoch",
  save_strategy: "{saveEvery} is the steps between checkpoints, 0 after every epoch",
  logging_steps: "every step is in metrics.jsonl of {out}, without a setting",
  report_to: "metrics.jsonl and files for TensorBoard are in {out}, without a setting",
  logging_dir: "metrics.jsonl and files for TensorBoard are in {out}, without a setting",
  overwrite_output_dir: "a run never overwrites another: give another {out}",
  resume_from_checkpoint: "the command resume goes on with a run, {out} begins a new one",
  checkpoint_dir: "{model} is the folder of the base; checkpoints are kept in {out}",
  warmup: "give {warmupSteps}, {warmupEpochs} or {warmupRatio}",
  warmup_iters: "give {warmupSteps}, {warmupEpochs} or {warmupRatio}",
  device: "{engine} says what computes (cpu, cuda, …), {devices} which GPUs",
  backend: "{engine} says what computes: cpu, wasm, cuda, …",
  gpus,
  gpu: gpus,
  num_gpus: gpus,
  n_gpu: gpus,
  nproc_per_node: gpus,
  num_processes: gpus,
  num_workers: "{workers} are those that compute: data needs none of its own",
  dataloader_num_workers: "{workers} are those that compute: data needs none of its own",
  bf16: "give {compute} bf16",
  fp16: "there is no arithmetic in f16: {compute} is f32 or bf16",
  dtype: numbers,
  torch_dtype: numbers,
  precision: numbers,
  mixed_precision: numbers,
  load_in_8bit: "give {storage} int8",
  load_in_4bit: "give {storage} nf4",
  bnb_4bit_quant_type: "give {storage} nf4",
  quantize: `{storage} is ${storageNames.join(", ")}`,
  lora_r: lora,
  lora_rank: lora,
  lora_alpha: lora,
  lora_dropout: lora,
  num_virtual_tokens: "{adapterLen} counts the prompts of every adapted layer, {adapterLayers} the layers",
  max_length: "{maxNewTokens} counts the answer alone, without the prompt",
  do_sample: "a {temperature} above 0 samples, 0 takes the most likely token",
  num_beams: "there is no beam search: {temperature}, {topP} and {topK} choose tokens",
};

/** A name of elsewhere: the key that means the same, or why none does. */
export type Synonym = { readonly key: string } | { readonly instead: string };

/** Returns a name without its case, dashes and underscores, to compare names of other programs by. */
export function squash(name: string): string {
  return name
    .slice(0, 64)
    .toLowerCase()
    .replace(/[-_\s]/g, "");
}

/** All names of the table, as written there. */
export const synonyms: readonly string[] = [...Object.keys(same), ...Object.keys(different)];

const named = new Map(synonyms.map((name) => [squash(name), name]));

/**
 * Looks up a name that is no key.
 * @param known the keys where it was used
 * @param show how messages write a key, for example as a flag
 * @returns undefined for a name of no meaning here
 */
export function synonymOf(given: string, known: readonly string[], show: (key: string) => string): Synonym | undefined {
  const plain = squash(given);
  const spelled = known.find((key) => squash(key) === plain);
  if (spelled !== undefined) return { key: spelled };
  const name = named.get(plain);
  if (name === undefined) return undefined;
  const key = [same[name] ?? []].flat().find((target) => known.includes(target));
  if (key !== undefined) return { key };
  const instead = different[name] ?? "";
  const keys = [...instead.matchAll(/\{(\w+)\}/g)].map(([, target = ""]) => target);
  if (!keys.some((target) => known.includes(target))) return undefined;
  return { instead: instead.replaceAll(/\{(\w+)\}/g, (_, target: string) => show(target)) };
}

/** `batchSize` as flags are written elsewhere: `--batch-size`, `--batch_size`, `--batchSize`. */
export function flagSpellings(name: string): string[] {
  const dashed = flagName(name).replaceAll("_", "-");
  const camel = dashed.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return [...new Set([dashed, `--${dashed.slice(2).replaceAll("-", "_")}`, `--${camel}`])];
}
