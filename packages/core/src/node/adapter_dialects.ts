/** Adapter files of other programs on disk: torch's or safetensors, by their names. */
import { lstat } from "node:fs/promises";
import {
  type ForeignDialect,
  foreignDialect,
  foreignTensors,
  type ReadDialectOptions,
  readForeignAdapter,
} from "../adapter/files/dialects.ts";
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { serializeSafetensors } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import { withTensorFile } from "./adapter_weights.ts";
import { writeFileAtomic } from "./atomic.ts";

/**
 * Reads an adapter of the original code, litgpt or lit-llama, also out of a training checkpoint with the whole base in it;
 * only the adapter's numbers are read. Throws an `InputError` as `readForeignAdapter` does.
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
    return { dialect, ...readForeignAdapter(await stored.read(), path, options) };
  });
}

/** Writes an adapter as another program stores it: safetensors where `path` ends so, else a file of torch. Refuses to replace. */
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
  const within = dialect === "litgpt" ? "model" : undefined;
  const bytes = path.endsWith(".safetensors")
    ? serializeSafetensors(tensors, { format: "pt" })
    : serializeTorchFile(tensors, within);
  await writeFileAtomic(path, bytes);
}
