/** Adapter files of other programs on disk, torch's or safetensors: the names of their tensors say whose. */
import { lstat } from "node:fs/promises";
import { baseProblems } from "../adapter/base_fit.ts";
import { adaptionPromptConfig } from "../adapter/files/config.ts";
import {
  type ForeignDialect,
  foreignDialect,
  foreignTensors,
  type ReadDialectOptions,
  readForeignAdapter,
} from "../adapter/files/dialects.ts";
import { isReleasedTensor, readReleased } from "../adapter/files/released.ts";
import { RELEASED_CONFIG } from "../adapter/files/write_released.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { serializeSafetensors } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import type { ModelConfig } from "../model/config.ts";
import { withTensorFile } from "./adapter_weights.ts";
import { writeFileAtomic } from "./atomic.ts";
import type { LoadedAdapter } from "./loaded_adapter.ts";

/**
 * Reads an adapter of the original code, litgpt or lit-llama, also out of a training checkpoint with the whole base in it; only the
 * adapter's numbers are read. `loadAdapter` does that for a base that is known.
 *
 * @throws InputError that lists what is missing, of another shape, not finite, or more than an adaption prompt.
 * @example
 * const { dialect, state, notes } = await readAdapterFile("lit_model.pth.adapter");
 */
export async function readAdapterFile(
  path: string,
  options: ReadDialectOptions = {},
): Promise<{ dialect: ForeignDialect; state: AdapterState; notes: string[] }> {
  return withTensorFile(path, async (stored) => {
    const dialect = foreignDialect(stored.entries.keys());
    if (dialect === undefined) {
      const found = [...stored.entries.keys()].slice(0, 3).map((name) => JSON.stringify(name).slice(0, 100));
      const holds = found.length === 0 ? "no tensor of an adapter" : `${found.join(", ")}, …`;
      throw new InputError(
        `Cannot use ${path} as an adapter`,
        `it holds ${holds}: needed are adapter_query.weight (original) or transformer.h.….adapter_wte.weight (litgpt, lit-llama); for an adapter of PEFT give its folder`,
      );
    }
    if (dialect === "multimodal") {
      const names = [...stored.entries.keys()];
      const own = await stored.read(names.filter(isReleasedTensor)); // base and tower may lie beside them
      return { dialect, ...readReleased(own, names, path, options) };
    }
    return { dialect, ...readForeignAdapter(await stored.read(), path, options) };
  });
}

/**
 * Loads an adapter file of another program for this model. These programs add what the prompts give before the output
 * projection, whose bias counts once.
 *
 * @throws InputError as `readAdapterFile` does, and if the adapter is for another base.
 */
export async function loadAdapterFile(
  path: string,
  model: ModelConfig,
  options: ReadDialectOptions = {},
): Promise<LoadedAdapter> {
  if ((await withTensorFile(path, async ({ entries }) => foreignDialect(entries.keys()))) === "multimodal") {
    const way = `zerogate convert ${path} FOLDER --to zerogate`;
    throw new InputError(
      `Cannot use ${path} as an adapter`,
      `it sees images and does not say through which tower: convert it (${way})`,
    );
  }
  const { dialect, state, notes } = await readAdapterFile(path, options);
  const { shape, table } = state.layout;
  const problems = baseProblems(state.layout, model);
  if (model.qkNorm) {
    problems.push(`it was trained without norms on the keys of prompts, which a ${model.modelType} has`);
  }
  if (problems.length > 0) throw new InputError(`Cannot use ${path} as an adapter`, problems);
  const { promptLength: adapterLen, adaptedLayers: adapterLayers } = shape;
  const isAssumed = dialect === "original" && options.originalGate === undefined;
  const assumed = `${path} does not say what its gates mean: their tanh is taken, as the code that trains them does`;
  return {
    config: adaptionPromptConfig({ adapterLen, adapterLayers, inferenceMode: true }),
    shape,
    params: state.params,
    metadata: {},
    promptFormat: undefined,
    seen: undefined,
    report: { matched: table.map(({ fileName }) => fileName), missing: [], unexpected: [], misShaped: [] },
    warnings: isAssumed ? [...notes, assumed] : notes,
  };
}

/**
 * Writes an adapter as another program stores it: safetensors if `path` ends so, else a file of torch.
 *
 * @param dtype of the numbers in the file. @default "f32"
 * @throws InputError if the file exists, or a number is not finite in `dtype`.
 * @throws RangeError if the gates are not per head.
 * @example
 * const { state } = convertGates(adapter, { gateSharing: "per-head", gateActivation: "none" });
 * await writeAdapterFile("mine.pth.adapter", state, "litgpt");
 */
export async function writeAdapterFile(
  path: string,
  state: AdapterState,
  dialect: ForeignDialect,
  dtype: DType = "f32",
): Promise<void> {
  const tensors = foreignTensors(state, dialect, dtype);
  if (await lstat(path).catch(() => undefined)) {
    throw new InputError(`Cannot write ${path}`, "it exists: choose a new name");
  }
  const within = dialect === "litgpt" || dialect === "multimodal" ? "model" : undefined;
  const beside = dialect === "multimodal" ? { config: RELEASED_CONFIG } : undefined;
  const bytes = path.endsWith(".safetensors")
    ? serializeSafetensors(tensors, { format: "pt" })
    : serializeTorchFile(tensors, within, beside);
  await writeFileAtomic(path, bytes);
}
