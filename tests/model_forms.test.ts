/** The embedded base in every other form of files: a run on it ends with the adapter of a run on its safetensors, to the bit. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSafetensors, serializeTorchFile, type Tensor } from "@zerogate/core/formats";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, tinyRun } from "./support/world.ts";

const folder = testFolder();
const { tensors } = parseSafetensors(readFileSync(join(base, "model.safetensors")), "x");

/** Trains on a base and returns the SHA-256 of its adapter. */
async function trainedOn(model: string, out: string): Promise<string> {
  const flags = tinyRun(folder, { "--model": model, "--out": out, "--steps": "3", "--workers": "1" });
  const { code, stderr } = await zerogateHere(["train", ...flags, "--json"], { cwd: folder });
  expect(stderr).not.toContain("warning");
  expect(code, stderr).toBe(0);
  return adapterHash(join(folder, out));
}

/** The base without files that match, and with these. */
function baseWith(name: string, without: RegExp, files: Readonly<Record<string, string | Uint8Array>>): string {
  cpSync(base, join(folder, name), { recursive: true, filter: (path) => !without.test(path) });
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, name, file), content);
  return name;
}

let expected = "";
beforeAll(async () => {
  expected = await trainedOn(base, "plain");
});

test("shards of torch: trains to the same bits, is verified and inspected [M-bin-sharded]", async () => {
  const parts = [0, 1].map((odd) => new Map([...tensors].filter((_, i) => i % 2 === odd)));
  const name = (i: number) => `pytorch_model-0000${i + 1}-of-00002.bin`;
  const weight_map = Object.fromEntries(parts.flatMap((part, i) => [...part.keys()].map((key) => [key, name(i)])));
  const model = baseWith("torch", /model\.safetensors$/, {
    ...Object.fromEntries(parts.map((part, i) => [name(i), serializeTorchFile(part)])),
    "pytorch_model.bin.index.json": JSON.stringify({ weight_map }),
  });
  expect(await trainedOn(model, "of-torch")).toBe(expected);
  const verified = await zerogateHere(["verify", "of-torch", "--model", model], { cwd: folder });
  expect(verified).toMatchObject({ code: 0 });
  const { json } = await zerogateHere(["inspect", model, "--json"], { cwd: folder });
  expect(json[0]).toMatchObject({ kind: "model", problems: [], weights: { files: 2 } });
});

/** Rows of a head as pairs that rotate: row j, then row j + 16, of heads of 32 rows. */
function paired({ dtype, shape, bytes }: Tensor): Tensor {
  const row = bytes.length / (shape[0] ?? 1);
  const order = Array.from({ length: shape[0] ?? 0 }, (_, to) => to - (to % 32) + (to % 2) * 16 + ((to % 32) >> 1));
  return { dtype, shape, bytes: Buffer.concat(order.map((from) => bytes.subarray(from * row, (from + 1) * row))) };
}

test("Meta's files: trains to the same bits, answers the same and is inspected [M-pth-meta]", async () => {
  const names: Readonly<Record<string, string>> = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    input_layernorm: "attention_norm",
    post_attention_layernorm: "ffn_norm",
  };
  const metas = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const [, layer, kind = ""] = /^model\.layers\.(\d+)\.(.*)\.weight$/.exec(name) ?? [];
    const isRotated = /[qk]_proj/.test(kind);
    if (layer !== undefined) metas.set(`layers.${layer}.${names[kind]}.weight`, isRotated ? paired(tensor) : tensor);
    else metas.set(name === "model.norm.weight" ? "norm.weight" : "tok_embeddings.weight", tensor);
    if (name === "model.embed_tokens.weight") metas.set("output.weight", tensor);
  }
  const params = {
    dim: 128,
    n_layers: 6,
    n_heads: 4,
    n_kv_heads: 2,
    vocab_size: 1024,
    norm_eps: 1e-5,
    max_seq_len: 256,
  };
  const model = baseWith("meta", /model\.safetensors$|config\.json$/, {
    "params.json": JSON.stringify(params),
    "consolidated.00.pth": serializeTorchFile(metas),
    "tokenizer_config.json": readFileSync(join(base, "tokenizer_config.json")),
  });
  expect(await trainedOn(model, "of-meta")).toBe(expected);
  const answer = async (of: string, run: string) => {
    const ask = ["--adapter", join(run, "adapter"), "--instruction", "Count the pigs.", "--max-new-tokens", "12"];
    return (await zerogateHere(["generate", "--model", of, ...ask, "--json"], { cwd: folder })).json[0]?.["tokens"];
  };
  expect(await answer(model, "of-meta")).toEqual(await answer(base, "plain"));
  const { json } = await zerogateHere(["inspect", model, "--json"], { cwd: folder });
  expect(json[0]).toMatchObject({ kind: "model", modelType: "llama", problems: [], weights: { files: 1 } });
});

interface TokenizerJson {
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
  readonly pre_tokenizer: { readonly pretokenizers: readonly { readonly pattern?: { readonly Regex: string } }[] };
}

/** The letters that byte-level tokenizers write bytes as: those that are printed, and U+0100 … for the others. */
function byteOfLetter(): ReadonlyMap<string, number> {
  const isPrinted = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let others = 0;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(isPrinted(byte) ? byte : 256 + others++), byte]),
  );
}

test("tekken.json instead of tokenizer.json: trains to the same bits, or is missed by its name [M-tekken]", async () => {
  const { model: own, pre_tokenizer: cut } = JSON.parse(
    readFileSync(join(base, "tokenizer.json"), "utf8"),
  ) as TokenizerJson;
  const special = ["<unk>", "<s>", "</s>"];
  const bytes = byteOfLetter();
  const pieces = Object.entries(own.vocab).filter(([piece]) => !special.includes(piece));
  const tekken = {
    config: {
      pattern: cut.pretokenizers[0]?.pattern?.Regex,
      default_vocab_size: 1024,
      default_num_special_tokens: 3,
      version: "v11",
    },
    special_tokens: special.map((token_str, rank) => ({ rank, token_str })),
    vocab: pieces
      .map(([piece, id]) => ({ rank: id - 3, bytes: Array.from(piece, (letter) => bytes.get(letter) ?? -1) }))
      .toSorted((a, b) => a.rank - b.rank)
      .map((entry) => ({ rank: entry.rank, token_bytes: Buffer.from(entry.bytes).toString("base64") })),
  };
  const model = baseWith("pieces", /tokenizer\.json$/, { "tekken.json": JSON.stringify(tekken) });
  expect(await trainedOn(model, "of-pieces")).toBe(expected);
  rmSync(join(folder, model, "tekken.json"));
  const { json } = await zerogateHere(["inspect", model, "--json"], { cwd: folder });
  expect(JSON.stringify(json[0]?.["problems"])).toContain(
    "nor tekken.json, tokenizer.model, spiece.model, qwen.tiktoken",
  );
});
