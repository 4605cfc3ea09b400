/**
 * The tensors of an adapter, by names and shapes first: in `adapter_model.safetensors`, as PEFT prefers it, else in
 * `adapter_model.bin`; or in a single file of another program.
 */
import { isAdapterTensor } from "../adapter/files/dialects.ts";
import { ADAPTER_FILE } from "../adapter/files/peft.ts";
import { unwrapNames } from "../adapter/files/wrapped_names.ts";
import { VISION_FILE } from "../adapter/parts/projection.ts";
import { InputError } from "../errors.ts";
import { DESCRIBED_BYTES, describeFile } from "../formats/file_kind.ts";
import type { TorchTensor } from "../formats/pickle_values.ts";
import type { Tensor, TensorDType, TensorEntry } from "../formats/safetensors.ts";
import { openTorchFile, readTorchTensors, type TorchFile, tensorsOf } from "../formats/torch_file.ts";
import { namedFile, withFileSource } from "./file_source.ts";
import { checkAdapterParts } from "./folder_parts.ts";
import { type FolderFile, folderFile } from "./model_folder.ts";
import { readFully } from "./regular_file.ts";
import { openSafetensors } from "./safetensors_file.ts";

const TORCH = "adapter_model.bin";

/** An open file of tensors; none has been read yet. */
export interface StoredTensors {
  readonly path: string;
  readonly entries: ReadonlyMap<string, Pick<TensorEntry, "dtype" | "shape">>;
  /** Of a safetensors file; torch's have none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** What is read otherwise than it is stored, one sentence each. */
  readonly notes: readonly string[];
  /** The tensors of these names, by default all. */
  read(names?: readonly string[]): Promise<Map<string, Tensor>>;
}

/**
 * Opens the weights of an adapter folder for `work`: under PEFT's names, without the prefixes of wrappers around the model that saved them, and
 * float64 as float32. Throws an `InputError` if there are none or they are damaged.
 */
export async function withAdapterWeights<T>(folder: string, work: (stored: StoredTensors) => Promise<T>): Promise<T> {
  return await withStoredWeights(folder, (stored) => work(asPeftStores(stored)));
}

function asPeftStores(stored: StoredTensors): StoredTensors {
  const { path } = stored;
  const names = new Map([...stored.entries.keys()].map((name) => [name, name]));
  const { tensors: storedAs, notes } = unwrapNames(names, path);
  const wide = [...stored.entries.values()].filter(({ dtype }) => dtype === "F64").length;
  const casts = wide === 0 ? [] : [`${path}: ${wide} tensors in F64 are read as F32`];
  const entry = (name: string) => stored.entries.get(name) ?? { dtype: "F32" as const, shape: [] };
  return {
    ...stored,
    notes: [...notes, ...casts],
    entries: new Map([...storedAs].map(([name, own]) => [name, asFloat32(entry(own))])),
    async read(wanted = [...storedAs.keys()]) {
      const read = await stored.read(wanted.flatMap((name) => storedAs.get(name) ?? []));
      return new Map(
        [...storedAs].flatMap(([name, own]) => {
          const tensor = read.get(own);
          return tensor ? [[name, castFloat64(tensor)] as const] : [];
        }),
      );
    },
  };
}

function asFloat32<T extends { readonly dtype: TensorDType }>(tensor: T): T {
  return tensor.dtype === "F64" ? { ...tensor, dtype: "F32" } : tensor;
}

function castFloat64(tensor: Tensor): Tensor {
  if (tensor.dtype !== "F64") return tensor;
  const numbers = new Float64Array(tensor.bytes.slice().buffer);
  return asFloat32({ ...tensor, bytes: new Uint8Array(Float32Array.from(numbers).buffer) });
}

async function withStoredWeights<T>(folder: string, work: (stored: StoredTensors) => Promise<T>): Promise<T> {
  const [safe, torch] = [await folderFile(folder, ADAPTER_FILE), await folderFile(folder, TORCH)];
  await checkAdapterParts(folder, new Set([ADAPTER_FILE, TORCH, VISION_FILE]));
  if (safe) return withSafetensors(safe, work); // PEFT's choice if both are there
  if (torch) return withTorchFile(torch, work);
  throw new InputError(`Cannot load the adapter in ${folder}`, `there is neither ${ADAPTER_FILE} nor ${TORCH}`);
}

/**
 * Opens a file of tensors, safetensors or torch's, for `work`. Of a torch file it is the dict itself that counts, or the one
 * under its key `model`, where Lightning and training checkpoints have it; only what belongs to an adapter is offered.
 */
export async function withTensorFile<T>(path: string, work: (stored: StoredTensors) => Promise<T>): Promise<T> {
  const file = await namedFile(path);
  return (await isSafetensors(file)) ? withSafetensors(file, work) : withTorchFile(file, work, isAdapterTensor);
}

/** Whether a file begins as safetensors do; what begins as nothing that is known is what its name says. */
function isSafetensors(file: FolderFile): Promise<boolean> {
  return withFileSource(file, async ({ path, bytes, read }) => {
    const head = await read(0, Math.min(DESCRIBED_BYTES, bytes));
    if (describeFile(head, bytes)?.kind === "safetensors") return true;
    const isZip = head[0] === 0x50 && head[1] === 0x4b; // as torch's files are
    return !isZip && path.endsWith(".safetensors");
  });
}

/** Opens a safetensors file for `work`; no tensor has been read yet. */
export async function withSafetensors<T>(found: FolderFile, work: (stored: StoredTensors) => Promise<T>): Promise<T> {
  const file = await openSafetensors(found);
  try {
    const { tensors, metadata, path } = file;
    return await work({
      path,
      entries: tensors,
      metadata,
      notes: [],
      async read(names = [...tensors.keys()]) {
        const read = new Map<string, Tensor>();
        for (const name of names) {
          const entry = tensors.get(name);
          if (entry === undefined) continue;
          const bytes = new Uint8Array(entry.end - entry.begin);
          await readFully(file, bytes, entry.begin);
          read.set(name, { dtype: entry.dtype, shape: entry.shape, bytes });
        }
        return read;
      },
    });
  } finally {
    await file.handle.close();
  }
}

export function withTorchFile<T>(
  found: FolderFile,
  work: (stored: StoredTensors) => Promise<T>,
  isWanted: (name: string) => boolean = () => true,
): Promise<T> {
  return withFileSource(found, async (source) => {
    const file = await openTorchFile(source);
    const views = [...stateDict(file)].filter(([name]) => isWanted(name));
    const all = new Map<string, TorchTensor>(views);
    return work({
      path: source.path,
      entries: new Map(views.map(([name, { storage, shape }]) => [name, { dtype: storage.dtype, shape }])),
      metadata: new Map(),
      notes: [],
      read(names = [...all.keys()]) {
        const wanted = new Set(names);
        return readTorchTensors(file, new Map(views.filter(([name]) => wanted.has(name))));
      },
    });
  });
}

function stateDict({ root }: TorchFile): Map<string, TorchTensor> {
  const model = root instanceof Map ? root.get("model") : undefined;
  return tensorsOf(model instanceof Map ? model : root);
}
