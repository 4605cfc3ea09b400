/**
 * Looks for weights in a folder of a model or an adapter that are not read: a vision tower, a projector, a second adapter. A
 * model without one of its parts computes something else, so everything that is not known to be harmless is refused by its name.
 *
 * The rule, in docs/formats.md too: of tensors (safetensors, and pickles of torch) every file must be read, be another copy of
 * the same weights, or belong to the state of a training; of anything else a name that mentions a further part is refused.
 */
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { describeFileAt } from "./described_file.ts";
import { reason } from "./fs_errors.ts";

/** Copies of the whole model in another format or precision, as they lie beside it on the Hugging Face hub. */
const copies = [
  /^pytorch_model(?:[.-].*)?\.bin$/,
  /^consolidated(?:[.-].*)?\.(?:safetensors|pth?)$/,
  /^model\.(?:fp|bf|float|int)\d{1,2}(?:-\d+-of-\d+)?\.safetensors$/,
  /^(?:openvino|ggml|ggjt)[\w.-]*\.bin$/,
];

/** What transformers, accelerate, DeepSpeed and PyTorch save beside a model to go on with its training. */
const trainingState =
  /^(?:optimizer|scheduler|scaler|sampler|dl_state_dict|rng_state|random_states|training_args|trainer_state|custom_checkpoint)(?:[._-].*)?\.(?:safetensors|bin|pth?|pkl)$/;

const tensorFile = /\.(?:safetensors|bin|pth?|ckpt)$/;

/** Words for parts that turn a text model into another one. */
const furtherPart =
  /(?:^|[._-])(?:vision|visual|image|video|audio|speech|clip|siglip|whisper|mm|mmproj|multi_?modal|projector|resampler|qformer|tower)(?=[._-]|$)/;
/** Besides those, of files: adapters in folders of their own are not applied by anybody unasked. */
const adapterPart = /(?:^|[._-])(?:lora|dora|ia3|adapters?|v_?head|value_head)(?=[._-]|$)/;
/** What can hold numbers in a format that is not read; a text or an image may be called anything. */
const otherWeights = /\.(?:gguf|ggml|h5|msgpack|onnx|ot|npz|npy|tflite|mlmodel)$/;

/** A shard that an index names; if there is a `model.safetensors` as well, transformers reads none of them. */
const shard = /^model-\d+-of-\d+\.safetensors$/;

const way = "move it elsewhere if it does not belong here, or make a folder with links to the files that do";

/** Refuses a model folder, of whose files `read` are read, if it holds parts that are not. */
export async function checkModelParts(folder: string, read: ReadonlySet<string>): Promise<void> {
  const entries = await entriesOf(folder);
  const isKnown = (name: string) => read.has(name) || (read.has("model.safetensors") && shard.test(name));
  const problems = await unknownParts(folder, entries, isKnown);
  if (entries.some(({ name }) => name === "adapter_config.json")) {
    problems.unshift(
      "it holds an adapter (adapter_config.json), which transformers puts on the model: move the adapter to a folder of its own",
    );
  }
  if (problems.length > 0) throw new InputError(`Cannot use ${folder} as a text model`, problems);
}

/** The same for an adapter's folder; the files of a model beside it are the base's own. */
export async function checkAdapterParts(folder: string, read: ReadonlySet<string>): Promise<void> {
  const isKnown = (name: string) => read.has(name) || name === "model.safetensors" || shard.test(name);
  const problems = await unknownParts(folder, await entriesOf(folder), isKnown);
  if (problems.length > 0) throw new InputError(`Cannot use ${folder} as an adaption prompt`, problems);
}

async function unknownParts(
  folder: string,
  entries: readonly Dirent[],
  isKnown: (name: string) => boolean,
): Promise<string[]> {
  const problems: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || isKnown(entry.name) || !(await isPart(folder, entry))) continue;
    problems.push(
      `${JSON.stringify(entry.name).slice(0, 200)} is a part that is not read, without which this may be another model: ${way}`,
    );
  }
  return problems;
}

async function isPart(folder: string, entry: Dirent): Promise<boolean> {
  const name = entry.name.toLowerCase();
  const path = join(folder, entry.name);
  if (trainingState.test(name) || copies.some((pattern) => pattern.test(name))) return false;
  if (name.endsWith(".safetensors")) return true;
  if (otherWeights.test(name)) return furtherPart.test(name) || adapterPart.test(name);
  if (tensorFile.test(name)) {
    // Many things are called .bin: a part is one that torch saved, or a pointer to what may be one.
    const kind = (await describeFileAt(path))?.kind;
    return kind === "torch" || kind === "pickle" || kind === "safetensors" || kind === "pointer";
  }
  if (!furtherPart.test(name)) return false;
  const below: string[] = await readdir(path).catch(() => []); // of a file there are none
  // An adapter may have any name, and is not applied unasked.
  return !below.includes("adapter_config.json") && below.some((file) => tensorFile.test(file.toLowerCase()));
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new InputError(`Cannot read from ${folder}`, reason(cause), { cause });
  }
}
