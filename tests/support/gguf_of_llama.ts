/** A Llama as a GGUF file in Q8_0, as llama.cpp's converter writes it, and a folder with the same numbers in float32. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSafetensors, serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { type WrittenTensor, type WrittenValue, writeGguf } from "../../packages/core/test/gguf_writer.ts";

const [F32, Q8_0, BLOCK] = [0, 8, 32];

interface LlamaConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
}

/**
 * Writes `to`.gguf and the folder `to` of the Llama in `folder`; maps whose rows are no multiple of 32 wide stay in float32.
 * @param divisors of its rotation, which the folder does not have. @default none
 */
export function writeLlamaGguf(
  folder: string,
  to: string,
  tokenizer: Readonly<Record<string, WrittenValue>>,
  divisors: readonly number[] = [],
): string {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as LlamaConfig;
  const heads = { q: config.num_attention_heads, k: config.num_key_value_heads };
  const written: Record<string, WrittenTensor> = {};
  const plain = new Map<string, Tensor>();
  const file = readFileSync(join(folder, "model.safetensors"));
  for (const [name, tensor] of parseSafetensors(file, "model.safetensors").tensors) {
    const { shape } = tensor;
    const numbers = numbersOf(tensor);
    const isBlocks = shape.length > 1 && (shape.at(-1) ?? 0) % BLOCK === 0;
    const blocks = isBlocks ? quantise(numbers) : undefined;
    plain.set(name, { dtype: "F32", shape, bytes: bytesOf(blocks?.numbers ?? numbers) });
    const bytes = blocks?.bytes ?? bytesOf(numbers);
    const count = /\.q_proj\./.test(name) ? heads.q : /\.k_proj\./.test(name) ? heads.k : undefined;
    const rows = shape[0] ?? 0;
    const stored = count === undefined ? bytes : inPairs(bytes, rows, rows / count);
    written[ggufName(name)] = { type: isBlocks ? Q8_0 : F32, shape, bytes: stored };
  }
  if (divisors.length > 0) {
    written["rope_freqs.weight"] = { type: F32, shape: [divisors.length], bytes: bytesOf(Float32Array.from(divisors)) };
  }
  const metadata: Record<string, WrittenValue> = {
    "general.architecture": ["string", "llama"],
    "llama.block_count": ["u32", config.num_hidden_layers],
    "llama.context_length": ["u32", config.max_position_embeddings],
    "llama.embedding_length": ["u32", config.hidden_size],
    "llama.feed_forward_length": ["u32", config.intermediate_size],
    "llama.attention.head_count": ["u32", heads.q],
    "llama.attention.head_count_kv": ["u32", heads.k],
    "llama.attention.layer_norm_rms_epsilon": ["f32", config.rms_norm_eps],
    "llama.rope.dimension_count": ["u32", config.head_dim],
    "llama.rope.freq_base": ["f32", config.rope_theta],
    "llama.vocab_size": ["u32", config.vocab_size],
    "tokenizer.ggml.bos_token_id": ["u32", 1],
    "tokenizer.ggml.eos_token_id": ["u32", 2],
    ...tokenizer,
  };
  writeFileSync(`${to}.gguf`, writeGguf({ metadata, tensors: written }));
  cpSync(folder, to, { recursive: true });
  writeFileSync(join(to, "config.json"), JSON.stringify({ ...config, torch_dtype: "float32" }));
  writeFileSync(join(to, "model.safetensors"), serializeSafetensors(plain));
  return `${to}.gguf`;
}

function numbersOf({ dtype, bytes }: Tensor): Float32Array {
  const buffer = new Uint8Array(bytes).buffer;
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype !== "BF16") throw new Error(`${dtype} is not expected`);
  return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
}

const bytesOf = (numbers: Float32Array) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

/** Blocks of a scale that is a power of two, so that float16 has it, and 32 bytes. */
function quantise(numbers: Float32Array): { bytes: Uint8Array; numbers: Float32Array } {
  const bytes = new Uint8Array((numbers.length / BLOCK) * (BLOCK + 2));
  const found = new Float32Array(numbers.length);
  for (let block = 0; block < numbers.length / BLOCK; block++) {
    const own = numbers.subarray(block * BLOCK, (block + 1) * BLOCK);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 2 ** -7);
    const exponent = Math.ceil(Math.log2(largest / 127));
    const at = block * (BLOCK + 2);
    bytes[at + 1] = (exponent + 15) << 2;
    for (const [i, value] of own.entries()) {
      const code = Math.round(value / 2 ** exponent);
      bytes[at + 2 + i] = code;
      found[block * BLOCK + i] = code * 2 ** exponent;
    }
  }
  return { bytes, numbers: found };
}

/** Rows of each head in llama.cpp's order: the two that rotate together are neighbours. */
function inPairs(bytes: Uint8Array, rows: number, perHead: number): Uint8Array {
  const width = bytes.length / rows;
  const moved = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const [head, inHead] = [row - (row % perHead), row % perHead];
    const [pair, second] = [inHead % (perHead / 2), inHead < perHead / 2 ? 0 : 1];
    moved.set(bytes.subarray(row * width, (row + 1) * width), (head + 2 * pair + second) * width);
  }
  return moved;
}

const parts: Readonly<Record<string, string>> = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
};

function ggufName(name: string): string {
  const [, layer, part = ""] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  if (layer !== undefined) return `blk.${layer}.${parts[part]}.weight`;
  const others = { "model.embed_tokens": "token_embd", "model.norm": "output_norm", lm_head: "output" };
  return `${others[name.replace(/\.weight$/, "") as keyof typeof others]}.weight`;
}
