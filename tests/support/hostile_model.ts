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

/**
 * Makes one token's embedding infinite, so that every sample which holds it has a loss that is no number. The head, which
 * shares the embedding's numbers, becomes a tensor of its own and stays sound.
 */
export function withPoisonedToken(folder: string, token: number): void {
  untieHead(folder, ({ embedding, row }) => {
    for (let at = token * row; at < (token + 1) * row; at += 2) embedding.writeUInt16LE(0x7f80, at);
  });
}

/**
 * Makes the head's row of one token `factor` times that of a token which the base never expects: other samples do not
 * notice, one that has it as its target has a loss that is large and a gradient that is much too large, both finite.
 */
export function withUnexpectedToken(folder: string, token: number, unexpected: number, factor: number): void {
  untieHead(folder, ({ head, row }) => {
    const number = new Float32Array(1);
    const bits = new Uint32Array(number.buffer);
    for (let at = 0; at < row; at += 2) {
      bits[0] = head.readUInt16LE(unexpected * row + at) << 16;
      number[0] = factor * (number[0] ?? 0);
      head.writeUInt16LE((bits[0] ?? 0) >>> 16, token * row + at);
    }
  });
}

/** Gives the head numbers of its own; `change` gets them and the embedding's, both in BF16, `row` bytes a token. */
function untieHead(folder: string, change: (numbers: { embedding: Buffer; head: Buffer; row: number }) => void): void {
  const path = join(folder, "model.safetensors");
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, tie_word_embeddings: false }));
  const { tensors, data } = readTensors(path);
  const tied = tensors.find(([name]) => name === "model.embed_tokens.weight");
  if (tied?.[1].dtype !== "BF16") throw new Error("the embedding is expected in BF16");
  const { shape, data_offsets } = tied[1];
  const embedding = data.subarray(...data_offsets);
  const head = Buffer.from(embedding);
  change({ embedding, head, row: 2 * (shape[1] ?? 0) });
  const header = Object.fromEntries(tensors);
  header["lm_head.weight"] = { dtype: "BF16", shape, data_offsets: [data.length, data.length + head.length] };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, data, head]));
}

/** Makes it a model of two shards with only the first present. */
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
