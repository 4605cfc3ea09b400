/**
 * Files of `torch.save` since torch 1.6 (`.bin`, `.pt`, `.pth`): a stored zip with a pickle that says which tensors there
 * are, and one entry of bytes per storage. Read without executing anything; see `torch_pickle.ts`.
 */
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte_source.ts";
import { DESCRIBED_BYTES, describeFile } from "./file_kind.ts";
import { isTorchTensor, type PickleValue, type TorchTensor } from "./pickle_values.ts";
import { elementBytes, type Tensor } from "./safetensors.ts";
import { findZipData, isZip, readZipDirectory, readZipEntry, type ZipEntry } from "./stored_zip.ts";
import { serializeStoredZip } from "./stored_zip_writer.ts";
import { parseTorchPickle } from "./torch_pickle.ts";
import { type PlainDicts, serializeTorchPickle } from "./torch_pickle_writer.ts";
import { extent, gather, isInOrder } from "./torch_views.ts";

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
  const { source } = file;
  const byStorage = new Map<ZipEntry, [name: string, view: TorchTensor][]>();
  const limit = 4 * source.bytes + MEMORY_BASE;
  let total = 0;
  for (const [name, view] of views) {
    const { entry, bytes } = storageOf(file, name, view);
    total += bytes;
    if (!(total <= limit)) {
      const problem = `makes the tensors larger than ${limit} bytes, the file has ${source.bytes}`;
      throw refused(source, `tensor ${JSON.stringify(name).slice(0, 200)} ${problem}`);
    }
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

/** A tensor whose numbers lie in the file one after the other, or one whose strides put them together. */
export type TorchPlace = Pick<Tensor, "dtype" | "shape"> &
  ({ readonly begin: number; readonly end: number } | { readonly view: TorchTensor });

/**
 * Returns where in the file these tensors lie. The CRC-32 of their bytes is not compared, as torch does not. Throws an
 * `InputError` if a tensor reaches beyond its storage.
 */
export async function placeTorchTensors(
  file: TorchFile,
  views: ReadonlyMap<string, TorchTensor>,
): Promise<Map<string, TorchPlace>> {
  const { source } = file;
  const data = new Map<ZipEntry, { begin: number; end: number }>();
  const places = new Map<string, TorchPlace>();
  for (const [name, view] of views) {
    const { entry, bytes } = storageOf(file, name, view);
    const { shape, storage, offset } = view;
    const { dtype } = storage;
    if (!isInOrder(view)) {
      places.set(name, { dtype, shape, view });
      continue;
    }
    const found = data.get(entry) ?? (await findZipData(source, entry));
    data.set(entry, found);
    const begin = found.begin + offset * elementBytes[dtype];
    places.set(name, { dtype, shape, begin, end: begin + bytes });
  }
  return places;
}

/** The storage of a tensor, and how many bytes the tensor has; throws if it does not fit into it. */
function storageOf(
  { source, entries }: TorchFile,
  name: string,
  view: TorchTensor,
): { entry: ZipEntry; bytes: number } {
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
  return { entry, bytes: elements * width };
}

/** The file that `torch.load` reads as a dict of these tensors, or as `{within: dict, …beside}`. The same tensors give the same bytes. */
export function serializeTorchFile(
  tensors: ReadonlyMap<string, Tensor>,
  within?: string,
  beside: PlainDicts = {},
): Uint8Array {
  const keys = new Map([...tensors.keys()].map((name, i): [string, string] => [name, String(i)]));
  const text = (value: string) => new TextEncoder().encode(value);
  const entries = new Map<string, Uint8Array>([
    ["archive/data.pkl", serializeTorchPickle(tensors, keys, within, beside)],
    ["archive/byteorder", text("little")],
    ...[...tensors].map(([name, { bytes }]): [string, Uint8Array] => [`archive/data/${keys.get(name)}`, bytes]),
    ["archive/version", text("3\n")],
  ]);
  return serializeStoredZip(entries, 64);
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
