/** Model folders with one thing wrong, made from a sound one. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const widths: Readonly<Record<string, number>> = { I32: 4, F32: 4, F64: 8, BF16: 2 };

/** Gives one tensor another dtype, its numbers all zero; the file stays a sound safetensors file. */
export function withTensor(folder: string, name: string, dtype: string): void {
  const path = join(folder, "model.safetensors");
  const { tensors, data } = readTensors(path);
  const chunks: Buffer[] = [];
  const header: Record<string, Entry> = {};
  let end = 0;
  for (const [key, { dtype: stored, shape, data_offsets }] of tensors) {
    const elements = shape.reduce((a, b) => a * b, 1);
    const bytes = key === name ? Buffer.alloc(elements * (widths[dtype] ?? 1)) : data.subarray(...data_offsets);
    header[key] = { dtype: key === name ? dtype : stored, shape, data_offsets: [end, end + bytes.length] };
    chunks.push(bytes);
    end += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, ...chunks]));
}

/** Makes it a model of two shards of which only the first is there. */
export function withoutShard(folder: string): void {
  const path = join(folder, "model.safetensors");
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const names = readTensors(path).tensors.map(([name]) => name);
  const weight_map = Object.fromEntries(names.map((name, i) => [name, shards[i < names.length / 2 ? 0 : 1]]));
  renameSync(path, join(folder, "model-00001-of-00002.safetensors"));
  writeFileSync(`${path}.index.json`, JSON.stringify({ metadata: {}, weight_map }));
}

function readTensors(path: string): { tensors: [string, Entry][]; data: Buffer } {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, end)) as Record<string, Entry>;
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  tensors.sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  return { tensors, data: bytes.subarray(end) };
}
