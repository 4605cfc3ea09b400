/**
 * What a base may be and where it may come from: families, forms of files, 4-bit storage, the Hub. A test says which rows it covers
 * by `[M-qwen3]` or `[M-bin, M-bin-sharded]` in its title, and by `[M-train]` which column of the table of families: a test counts
 * for the family and the column that its title and those of the suites around it name.
 */
import type { Row } from "./table.ts";

export const familyRows: readonly Row[] = [
  { id: "M-llama", what: "Llama 1 to 3, TinyLlama, SmolLM, Vicuna, Yi …" },
  { id: "M-mistral", what: "Mistral, windows in all layers or in some" },
  { id: "M-ministral", what: "Ministral" },
  { id: "M-ministral3", what: "Ministral 3: yarn and a scale of queries by position; inside `mistral3` too" },
  { id: "M-qwen2", what: "Qwen 1.5 to 2.5" },
  { id: "M-qwen3", what: "Qwen 3, dense" },
  { id: "M-qwen3_moe", what: "Qwen 3 with routed experts" },
  { id: "M-qwen3_5_text", what: "Qwen 3.5, text: gated delta nets between attention layers; inside `qwen3_5` too" },
  { id: "M-mixtral", what: "Mixtral: routed experts" },
  { id: "M-gemma", what: "Gemma 1" },
  { id: "M-gemma2", what: "Gemma 2: soft caps" },
  { id: "M-gemma3_text", what: "Gemma 3, text; inside `gemma3` too" },
  { id: "M-gpt2", what: "GPT-2" },
  { id: "M-phi3", what: "Phi-3, 3.5-mini, Phi-4, Phi-4-mini" },
  { id: "M-smollm3", what: "SmolLM3" },
  { id: "M-granite", what: "Granite 3, dense" },
  { id: "M-olmo2", what: "OLMo 2" },
  { id: "M-olmo3", what: "OLMo 3" },
  { id: "M-gpt_neox", what: "Pythia, GPT-NeoX" },
  { id: "M-stablelm", what: "StableLM" },
];

/** Columns of the table of families. */
export const familyAspects: readonly Row[] = [
  { id: "M-load", what: "load" },
  { id: "M-train", what: "train" },
  { id: "M-generate", what: "generate" },
  { id: "M-storage", what: "storage" },
  { id: "M-engines", what: "engines" },
  { id: "M-peft", what: "PEFT exchange" },
];

export const modelRows: readonly Row[] = [
  ...familyRows,
  { id: "M-bin", what: "`pytorch_model.bin`: read without executing anything" },
  { id: "M-bin-sharded", what: "`pytorch_model.bin.index.json` and its shards" },
  { id: "M-pth-meta", what: "Meta's `consolidated.NN.pth` with `params.json`, one file or several" },
  { id: "M-sentencepiece", what: "`tokenizer.model` of SentencePiece, BPE and unigram: the ids of its Python library" },
  { id: "M-tiktoken", what: "`tokenizer.model` of Llama 3 and `qwen.tiktoken`: the ids of tiktoken" },
  { id: "M-merges", what: "`vocab.json` with `merges.txt`: the ids of transformers" },
  { id: "M-tekken", what: "`tekken.json` of Mistral" },
  {
    id: "M-gguf-architectures",
    what: "GGUF, each architecture that is read: config and weights of the folder that it was made of",
  },
  { id: "M-gguf-f16", what: "GGUF, F16" },
  { id: "M-gguf-bf16", what: "GGUF, BF16" },
  { id: "M-gguf-q8_0", what: "GGUF, Q8_0" },
  { id: "M-gguf-q4_0", what: "GGUF, Q4_0" },
  { id: "M-gguf-q4_1", what: "GGUF, Q4_1" },
  { id: "M-gguf-q5_0", what: "GGUF, Q5_0" },
  { id: "M-gguf-q5_1", what: "GGUF, Q5_1" },
  { id: "M-gguf-q4_k", what: "GGUF, Q4_K" },
  { id: "M-gguf-q5_k", what: "GGUF, Q5_K" },
  { id: "M-gguf-q6_k", what: "GGUF, Q6_K" },
  { id: "M-bnb-nf4", what: "bitsandbytes 4 bit, NF4, its scales quantised or not" },
  { id: "M-bnb-fp4", what: "bitsandbytes 4 bit, FP4" },
  { id: "M-bnb-int8", what: "bitsandbytes 8 bit" },
  { id: "M-fp8", what: "FP8 with a scale for each block, row or map" },
  { id: "M-gptq", what: "GPTQ" },
  { id: "M-awq", what: "AWQ" },
  { id: "M-compressed-tensors", what: "compressed-tensors: packed int4, int8, FP8" },
  { id: "M-mlx", what: "MLX" },
  { id: "M-nf4", what: "`--storage nf4`: loss, memory and bits on each engine that takes it" },
  { id: "M-int4", what: "`--storage int4`: the same" },
  { id: "M-hub-download", what: "`zerogate download`: resumed, checked, only what is needed" },
  { id: "M-hub-push", what: "`zerogate push`" },
  { id: "M-hub-cache", what: "the Hub's cache, shared with Python" },
  { id: "M-hub-refusals", what: "gated, missing, private, offline, hostile: told apart, refused" },
  { id: "M-inspect-hub", what: "`zerogate inspect OWNER/NAME` before a download" },
  { id: "M-estimate-hub", what: "`zerogate estimate OWNER/NAME`" },
];
