/** What the CPU benchmarks share: model shapes with random weights on disk, and real samples cut into cells. */
import { existsSync } from "node:fs";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packCell } from "../packages/core/dist/index.js";
import {
  cutCells,
  cutEvenCells,
  loadTemplate,
  loadTokenizer,
  measureSamples,
  prepareTokens,
} from "../packages/data/dist/index.js";

export const shared = (path) => fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));

/** Shapes only: the weights are random. `layers` of them can be left out to save time if a figure scales with them. */
export const shapes = {
  "135m": {
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49152,
    tie_word_embeddings: true,
  },
  /** Six layers of the first. */
  mid: {
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 6,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 32000,
    tie_word_embeddings: true,
  },
  "1.1b": {
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    vocab_size: 32000,
    tie_word_embeddings: false,
  },
  /** Llama 2's smallest, 13.5 GB: for what a machine of little memory can do, not for speed. */
  "7b": {
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    vocab_size: 32000,
    tie_word_embeddings: false,
  },
};
export const adaptedLayers = { "135m": 28, mid: 4, "1.1b": 20, "7b": 30 };

/** Writes a Hugging Face model folder with random bf16 weights of standard deviation 0.02, unless it is there already. */
export async function makeModel(name, folder) {
  const shape = shapes[name];
  if (existsSync(join(folder, "done"))) return folder;
  await mkdir(folder, { recursive: true });
  const {
    hidden_size: D,
    intermediate_size: F,
    num_hidden_layers: layers,
    num_attention_heads: H,
    num_key_value_heads: G,
    vocab_size: V,
  } = shape;
  const d = D / H;
  const tensors = [
    ["model.embed_tokens.weight", [V, D]],
    ["model.norm.weight", [D]],
  ];
  if (!shape.tie_word_embeddings) tensors.push(["lm_head.weight", [V, D]]);
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}.`;
    tensors.push([`${at}input_layernorm.weight`, [D]], [`${at}post_attention_layernorm.weight`, [D]]);
    for (const [part, rows] of [
      ["q", D],
      ["k", G * d],
      ["v", G * d],
    ])
      tensors.push([`${at}self_attn.${part}_proj.weight`, [rows, D]]);
    tensors.push([`${at}self_attn.o_proj.weight`, [D, D]]);
    tensors.push(
      [`${at}mlp.gate_proj.weight`, [F, D]],
      [`${at}mlp.up_proj.weight`, [F, D]],
      [`${at}mlp.down_proj.weight`, [D, F]],
    );
  }
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    ...shape,
    head_dim: d,
    hidden_act: "silu",
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "bfloat16",
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));

  tensors.sort(([a], [b]) => (a < b ? -1 : 1)); // as Hugging Face writes them: the parts of QKV lie apart
  const header = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const [tensor, dims] of tensors) {
    const bytes = 2 * dims.reduce((a, b) => a * b, 1);
    header[tensor] = { dtype: "BF16", shape: dims, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = Buffer.from(JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(folder, "model.safetensors"), "w");
  await file.write(Buffer.concat([length, json]));
  const random = randomHalves(2 ** 22 + 7919); // longer than a row and of odd length: rows differ
  let at = 0;
  for (const [, dims] of tensors) {
    let left = 2 * dims.reduce((a, b) => a * b, 1);
    if (dims.length === 1) {
      await file.write(Buffer.from(new Uint16Array(left / 2).fill(0x3f80).buffer));
      continue;
    }
    while (left > 0) {
      const part = random.subarray(at, Math.min(random.length, at + left));
      await file.write(part);
      left -= part.length;
      at = (at + part.length) % random.length;
    }
  }
  await file.close();
  await writeFile(join(folder, "done"), "");
  return folder;
}

function randomHalves(length) {
  const values = new Float32Array(length);
  let state = 12345;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  // The sum of four uniform numbers is near enough to a normal one.
  for (let i = 0; i < length; i++) values[i] = 0.02 * Math.sqrt(3) * (next() + next() + next() + next() - 2);
  const bits = new Uint32Array(values.buffer);
  return Buffer.from(Uint16Array.from(bits, (b) => b >>> 16).buffer);
}

/** `count` Alpaca records, evenly spaced over the file, tokenised by the Llama 2 tokenizer under the Alpaca template. */
export async function loadSamples(count, folder) {
  const file = join(folder, `alpaca-${count}.json`);
  if (!existsSync(file)) {
    const all = JSON.parse(await readFile(shared("alpaca-52k/alpaca_data.json"), "utf8")).filter(
      (record) => record.output,
    );
    const step = Math.floor(all.length / count);
    await writeFile(file, JSON.stringify(Array.from({ length: count }, (_, i) => all[i * step])));
  }
  const tokenizer = await loadTokenizer(shared("llama2-tokenizer"));
  const template = await loadTemplate("alpaca");
  const { tokens } = await prepareTokens({ paths: file, tokenizer, template, rule: "response", maxLength: 512 });
  return tokens;
}

/** Steps of `batch` samples, each a list of cells: cut by the plan's even cells if `even` is there, else by first fit. */
export function cutSteps(tokens, batch, cellTokens, even) {
  const sizes = measureSamples(tokens);
  const count = sizes.lengths.length;
  return Array.from({ length: Math.ceil(count / batch) }, (_, step) => {
    const samples = Array.from({ length: Math.min(batch, count - step * batch) }, (_one, i) => step * batch + i);
    const cells = even ? cutEvenCells(samples, sizes, cellTokens, even) : cutCells(samples, sizes.lengths, cellTokens);
    return cells.map((cell) => packCell(tokens, cell));
  });
}

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
