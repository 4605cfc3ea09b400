/** What a file of tensors holds, by names, types and shapes; their numbers are not read. */

import type { StoredTensors } from "./adapter_weights.ts";
import { withSafetensors, withTorchFile } from "./adapter_weights.ts";
import { describeFileAt } from "./described_file.ts";
import { namedFile } from "./file_source.ts";

/** The tensors of a file by name, without their bytes, and its metadata. */
export type TensorListing = Pick<StoredTensors, "entries" | "metadata">;

/**
 * Lists the tensors of a safetensors file, or of one of torch: its dict, or the one under its key `model`. The first bytes
 * decide which it is. Throws an `InputError` if it is neither, or damaged.
 */
export async function listTensors(path: string): Promise<TensorListing> {
  const file = await namedFile(path);
  const kind = (await describeFileAt(path))?.kind;
  const list = async ({ entries, metadata }: StoredTensors) => ({ entries, metadata });
  return kind === "torch" ? await withTorchFile(file, list) : await withSafetensors(file, list);
}
