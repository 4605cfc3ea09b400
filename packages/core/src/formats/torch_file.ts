/**
 * Files of `torch.save` since torch 1.6 (`.bin`, `.pt`, `.pth`): a stored zip with a pickle that says which tensors there
 * are, and one entry of bytes per storage. Read without executing anything; see `torch_pickle.ts`.
 */
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte_source.ts";
import { DESCRIBED_BYTES, describeFile } from "./file_kind.ts";
import { isTorchTensor, type PickleValue, type TorchTensor } from "./pickle_values.ts";
import { elementBytes, type Tensor } from "./safetensors.ts";
import { isZip, readZipDirectory, readZipEntry, type ZipEntry } from "./stored_zip.ts";
import { serializeStoredZip } from "./stored_zip_writer.ts";
import { parseTorchPickle } from "./torch_pickle.ts";
import { serializeTorchPickle } from "./torch_pickle_writer.ts";

/** The pickle of a 65 B training checkpoint has 200 kB. */
const MAX_PICKLE_BYTES = 16 * 2 ** 20;

/** Tensors may share bytes, so a small file can ask for much memory: at most this and four times the file. */
const MEMORY_BASE = 64 * 2 ** 20;

/** An opened file of torch: what its pickle says, and where the storages lie. */
export interface TorchFile {
  readonly source: ByteSource;
  readonly root: PickleValue;
  /** Entries by their name inside of the archive, for example `data/0`. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
}

/** Opens a file and reads all of it but the numbers. Throws an `InputError` on anything that torch would not write. */
export async function openTorchFile(source: ByteSource): Promise<TorchFile> {
  const head = await source.read(0, Math.min(DESCRIBED_BYTES, source.bytes));
  if (!isZip(head)) throw refused(source, notZip(head, source.bytes));
  const directory = await readZipDirectory(source);
  const pickles = [...directory.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    throw refused(source, `it has ${pickles.length} entries <name>/data.pkl, a file of torch.save has one`);
  }
  const prefix = pickle.slice(0, -"data.pkl".length);
  const entries = new Map(
    [...directory].flatMap(([name, entry]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), entry]] : [])),
  );
  const order = entries.get("byteorder");
  if (order !== undefined && (await readText(source, order)) !== "little") {
    throw refused(source, "its numbers are not little-endian: save it again on the machine that it is for");
  }
  const data = directory.get(pickle);
  if (data === undefined || data.bytes > MAX_PICKLE_BYTES) {
    throw refused(source, `its pickle has ${data?.bytes} bytes, at most ${MAX_PICKLE_BYTES} are read`);
  }
  return { source, root: parseTorchPickle(await readZipEntry(source, data), source.path), entries };
}

/** The tensors that a dict of the file holds directly, by their keys. */
export function tensorsOf(dict: PickleValue | undefined): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  if (!(dict instanceof Map)) return tensors;
  for (const [key, value] of dict) if (typeof key === "string" && isTorchTensor(value)) tensors.set(key, value);
  return tensors;
}

/**
 * Returns the bytes of these tensors, row-major for any strides. Every storage is read once. Throws an `InputError` if
 * a tensor reaches beyond its storage or all of them take more than four times the file.
 */
export async function readTorchTensors(
  file: TorchFile,
  views: ReadonlyMap<string, TorchTensor>,
): Promise<Map<string, Tensor>> {
  const { source, entries } = file;
  const byStorage = new Map<ZipEntry, [name: string, view: TorchTensor][]>();
  const limit = 4 * source.bytes + MEMORY_BASE;
  let total = 0;
  for (const [name, view] of views) {
    const width = elementBytes[view.storage.dtype];
    const { elements, reach } = extent(view);
    const entry = entries.get(`data/${view.storage.key}`);
    const fail = (problem: string) => refused(source, `tensor ${JSON.stringify(name).slice(0, 200)} ${problem}`);
    if (entry === undefined) throw fail("lies in an entry that is not there");
    if (view.storage.elements * width !== entry.bytes) {
      throw fail(`needs a storage of ${view.storage.elements * width} bytes, there are ${entry.bytes}`);
    }
    if (!(reach <= view.storage.elements)) {
      throw fail(`reaches to element ${reach} of a storage of ${view.storage.elements}`);
    }
    total += elements * width;
    if (!(total <= limit)) throw fail(`makes the tensors larger than ${limit} bytes, the file has ${source.bytes}`);
    const group = byStorage.get(entry);
    if (group) group.push([name, view]);
    else byStorage.set(entry, [[name, view]]);
  }
  const tensors = new Map<string, Tensor>();
  for (const [entry, group] of byStorage) {
    const storage = await readZipEntry(source, entry);
    for (const [name, view] of group) {
      tensors.set(name, { dtype: view.storage.dtype, shape: view.shape, bytes: gather(storage, view) });
    }
  }
  return new Map([...views.keys()].map((name): [string, Tensor] => [name, tensors.get(name) as Tensor]));
}

/** The file that `torch.load` reads as a dict of these tensors, or as `{within: dict}`. The same tensors give the same bytes. */
export function serializeTorchFile(tensors: ReadonlyMap<string, Tensor>, within?: string): Uint8Array {
  const keys = new Map([...tensors.keys()].map((name, i): [string, string] => [name, String(i)]));
  const text = (value: string) => new TextEncoder().encode(value);
  const entries = new Map<string, Uint8Array>([
    ["archive/data.pkl", serializeTorchPickle(tensors, keys, within)],
    ["archive/byteorder", text("little")],
    ...[...tensors].map(([name, { bytes }]): [string, Uint8Array] => [`archive/data/${keys.get(name)}`, bytes]),
    ["archive/version", text("3\n")],
  ]);
  return serializeStoredZip(entries, 64);
}

/** Elements of a tensor, and one more than the last element of the storage that it touches. */
function extent({ shape, strides, offset }: TorchTensor): { elements: number; reach: number } {
  let elements = 1;
  let last = offset;
  for (const [i, size] of shape.entries()) {
    elements *= size;
    last += (size - 1) * strides[i];
  }
  return { elements, reach: elements === 0 ? 0 : last + 1 };
}

/** Copies a strided view into consecutive rows. */
function gather(storage: Uint8Array, view: TorchTensor): Uint8Array {
  const { shape, strides, offset } = view;
  const width = elementBytes[view.storage.dtype];
  const { elements } = extent(view);
  const out = new Uint8Array(elements * width);
  if (elements === 0) return out;
  // Inner dimensions that lie as they should are copied at once.
  let run = 1;
  let inner = shape.length;
  while (inner > 0 && (strides[inner - 1] === run || shape[inner - 1] === 1)) run *= shape[--inner];
  const index = Array.from({ length: inner }, () => 0);
  let from = offset;
  for (let done = 0; done < elements; done += run) {
    out.set(storage.subarray(from * width, (from + run) * width), done * width);
    for (let dim = inner - 1; dim >= 0; dim--) {
      from += strides[dim];
      if (++index[dim] < shape[dim]) break;
      from -= shape[dim] * strides[dim];
      index[dim] = 0;
    }
  }
  return out;
}

async function readText(source: ByteSource, entry: ZipEntry): Promise<string> {
  return entry.bytes > 100 ? "" : new TextDecoder().decode(await readZipEntry(source, entry));
}

function notZip(head: Uint8Array, fileBytes: number): string {
  if (head[0] === 0x80) {
    return (
      "it is a bare pickle, the format of torch before 1.6, which is not read: in Python, " +
      "torch.save(torch.load(path, weights_only=True), path) writes it anew"
    );
  }
  const other = describeFile(head, fileBytes);
  if (other?.kind === "safetensors") return "it is a safetensors file: give it a name that ends in .safetensors";
  return other?.problem ?? "it is no file of torch.save: that is a zip";
}

function refused(source: ByteSource, problem: string): InputError {
  return new InputError(`Cannot read ${source.path}`, problem);
}
