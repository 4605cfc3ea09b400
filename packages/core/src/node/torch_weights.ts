/** Weights in a file of `torch.save`: where they lie in it, so that they are read and mapped as those of safetensors are. */

import { InputError } from "../errors.ts";
import type { ByteSource } from "../formats/byte_source.ts";
import type { TorchTensor } from "../formats/pickle_values.ts";
import { elementBytes } from "../formats/safetensors.ts";
import {
  openTorchFile,
  placeTorchTensors,
  readTorchTensors,
  type TorchFile,
  tensorsOf,
} from "../formats/torch_file.ts";
import { wholeFile } from "./made_file.ts";
import type { FolderFile } from "./model_folder.ts";
import type { OpenedWeights, PlacedTensor } from "./placed_tensor.ts";
import { openRegularFile, readFully } from "./regular_file.ts";

/** Opens the file and reads all of it but the numbers. Throws an `InputError` on anything that torch would not write. */
export async function openTorchWeights({ path, bytes }: FolderFile): Promise<OpenedWeights> {
  const handle = await openRegularFile(path);
  try {
    const source: ByteSource = {
      path,
      bytes,
      async read(begin, end) {
        const content = new Uint8Array(end - begin);
        await readFully({ path, handle }, content, begin);
        return content;
      },
    };
    const file = await openTorchFile(source);
    const views = tensorsOf(file.root);
    if (views.size === 0)
      throw new InputError(`Cannot read ${path}`, "it holds no dict of tensors, as a model's file does");
    const tensors = new Map<string, PlacedTensor>();
    for (const [name, place] of await placeTorchTensors(file, views)) {
      tensors.set(name, "view" in place ? made(file, name, place.view) : { ...place, file: { path, handle } });
    }
    return { tensors, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A tensor whose strides put it together: its storage is read when it is. */
function made(file: TorchFile, name: string, view: TorchTensor): PlacedTensor {
  const { dtype } = view.storage;
  const read = async () => {
    const tensor = (await readTorchTensors(file, new Map([[name, view]]))).get(name);
    return tensor?.bytes ?? new Uint8Array();
  };
  const end = view.shape.reduce((product, size) => product * size, elementBytes[dtype]);
  return { dtype, shape: view.shape, begin: 0, end, file: wholeFile(file.source.path, end, read) };
}
