"""Writes GGUF files with the `gguf` package (0.19) of llama.cpp, and what is in them by its own `dequantize`.

    make_gguf_values.py blocks OUT            OUT.gguf with a tensor of every type, OUT.json with its numbers
    make_gguf_values.py model OUT             OUT.gguf, a tiny Llama in Q8_0, OUT.json with logits of transformers
    make_gguf_values.py convert FOLDER OUT T  OUT/model.gguf of a folder of transformers, in type T (Q8_0, …; or `blocks-Q4_K`, …:
                                              random blocks, which that package cannot quantise to), and OUT/folder, the same
                                              numbers as transformers has them

The first two made the files in gguf_values/; tests call the third.
"""
import hashlib
import json
import os
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

BLOCKS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
#: Where the float16 scales of a block are.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}


def random_blocks(rng, shape, name):
    """Blocks of random bytes, but for the scales, which are finite numbers of either sign, subnormal ones among them."""
    numbers, size = gguf.GGML_QUANT_SIZES[Q[name]]
    count = int(np.prod(shape)) // numbers
    data = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[name]:
        scale = (rng.standard_normal(count) * rng.choice([1e-6, 1e-3, 0.05], count)).astype(np.float16)
        data[:, at : at + 2] = scale.view(np.uint8).reshape(count, 2)
    return data.reshape(*shape[:-1], shape[-1] // numbers * size)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def numbers_of(data, qtype):
    return gguf.quants.dequantize(data, qtype).astype(np.float32)


def blocks(out):
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(out + ".gguf", "llama")
    expected = {}
    for name in [*BLOCKS, "BF16", "F16", "F32"]:
        columns = 512 if name.endswith(("K", "XS")) else 64
        if name in BLOCKS:
            data = random_blocks(rng, (1, columns), name)
        else:
            data = gguf.quants.quantize(rng.standard_normal((1, columns)).astype(np.float32), Q[name])
        writer.add_tensor(name, data, raw_dtype=Q[name])
        values = numbers_of(data, Q[name])
        expected[name] = {"sha256": hashlib.sha256(values.tobytes()).hexdigest(), "first": values.ravel()[:4].tolist()}
    write(writer)
    with open(out + ".json", "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")


ARCHITECTURES = {
    "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3",
    "stablelm": "stablelm", "granite": "granite", "olmo2": "olmo2", "olmo3": "olmo2", "smollm3": "smollm3",
    "gpt_neox": "gptneox", "gpt2": "gpt2", "ministral3": "mistral3", "mixtral": "llama", "qwen3_moe": "qwen3moe",
}

#: Names of a config of GPT-2 that others have otherwise.
GPT2 = {
    "n_positions": "max_position_embeddings", "n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
    "n_inner": "intermediate_size", "layer_norm_epsilon": "layer_norm_eps",
}


def pairs(rows, heads):
    """Puts rows j and j + d/2 of each head side by side."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def kinds(rows, heads):
    """From q, k, v head by head to all q, all k, all v."""
    shape = rows.shape
    return rows.reshape(heads, 3, shape[0] // heads // 3, *shape[1:]).swapaxes(0, 1).reshape(shape)


def stacked_experts(tensors):
    """The maps of a layer's experts as one tensor."""
    whole, experts = {}, {}
    for name, values in tensors.items():
        before, found, rest = name.partition(".experts.")
        if found:
            number, _, kind = rest.partition(".")
            experts.setdefault((before, kind), {})[int(number)] = values
        else:
            whole[name] = values
    for (before, kind), maps in list(experts.items()):
        whole[f"{before}.experts.{kind}"] = np.stack([maps[e] for e in range(len(maps))])
    return whole


def all_routed(tensors, config):
    """A Qwen 3 whose layers all have experts, with weights that are divided by their sum: llama.cpp knows no other."""
    routed = next(i for i in range(config["num_hidden_layers"]) if i not in config["mlp_only_layers"])
    out = {}
    for name, values in tensors.items():
        if not any(name.startswith(f"model.layers.{i}.mlp.") for i in config["mlp_only_layers"]):
            out[name] = values
        if name.startswith(f"model.layers.{routed}.mlp."):
            for i in config["mlp_only_layers"]:
                out[name.replace(f".{routed}.", f".{i}.", 1)] = values
    config["mlp_only_layers"], config["norm_topk_prob"] = [], True
    return out


def unpaired(rows, heads):
    shape = rows.shape
    return rows.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def unkinds(rows, heads):
    shape = rows.shape
    return rows.reshape(3, heads, shape[0] // heads // 3, *shape[1:]).swapaxes(0, 1).reshape(shape)


def add_config(writer, config, rope):
    """What llama.cpp's converter writes of a config.json."""
    kind = config["model_type"]
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_vocab_size(config["vocab_size"])
    if kind == "gpt2":
        writer.add_layer_norm_eps(config["layer_norm_eps"])
        return end(writer)
    if kind in ("stablelm", "gpt_neox"):
        writer.add_layer_norm_eps(config["layer_norm_eps"])
        writer.add_parallel_residual(config.get("use_parallel_residual", kind == "gpt_neox"))
    else:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    factor = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", config.get("rotary_pct", 1)))
    if kind not in ("gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "qwen3_moe", "olmo2", "olmo3"):
        writer.add_rope_dimension_count(int(width * factor))
    if kind not in ("phi3", "stablelm", "gpt_neox"):
        writer.add_key_length(width)
        writer.add_value_length(width)
    full = rope.get("full_attention", rope)
    if kind not in ("gemma", "gpt_neox"):
        writer.add_rope_freq_base(full.get("rope_theta", config.get("rope_theta", 10000.0)))
    scaling = full.get("rope_type", "default")
    if scaling == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(full["factor"])
    if scaling == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(full["factor"])
        writer.add_rope_scaling_orig_ctx_len(full["original_max_position_embeddings"])
        if "beta_fast" in full:
            writer.add_rope_scaling_yarn_beta_fast(full["beta_fast"])
        if "beta_slow" in full:
            writer.add_rope_scaling_yarn_beta_slow(full["beta_slow"])
    if kind == "ministral3":
        writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    if kind in ("mixtral", "qwen3_moe"):
        writer.add_expert_count(config.get("num_local_experts") or config["num_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])
    if kind == "qwen3_moe":
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if kind == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    if kind == "phi3":
        writer.add_rope_scaling_orig_ctx_len(config.get("original_max_position_embeddings", 4096))
        writer.add_sliding_window(config.get("sliding_window") or 0)
    if kind in ("gemma2", "gemma3_text", "olmo3"):
        writer.add_sliding_window(config["sliding_window"])
    if kind == "mistral" and config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if kind == "olmo3":
        writer.add_sliding_window_pattern([one == "sliding_attention" for one in config["layer_types"]])
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    end(writer)


def end(writer):
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def convert(folder, out, type_name):
    from safetensors.numpy import load_file, save_file

    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    own = dict(config)
    for name, other in GPT2.items():
        if name in config:
            config[other] = config[name] or 4 * config["n_embd"]
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = config["model_type"]
    if kind in ("gemma2", "gemma3_text"):  # what llama.cpp's loader has for all but the largest of them
        config["query_pre_attn_scalar"] = config["head_dim"]
    if kind == "gemma3_text":
        layers = range(config["num_hidden_layers"])
        config["layer_types"] = ["full_attention" if i % 6 == 5 else "sliding_attention" for i in layers]
    arch = ARCHITECTURES[kind]
    number = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[arch]
    names = gguf.get_tensor_name_map(number, config["num_hidden_layers"])
    heads = config["num_attention_heads"]
    kv = config.get("num_key_value_heads") or heads
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    if kind == "qwen3_moe":
        tensors = all_routed(tensors, config)
    tensors = stacked_experts(tensors)
    os.makedirs(os.path.join(out, "folder"))
    writer = gguf.GGUFWriter(os.path.join(out, "model.gguf"), arch)
    add_config(writer, config, rope)
    rng = np.random.default_rng(11)
    kept = {}
    for name, values in tensors.items():
        if name.endswith(("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")):
            continue
        values = values.astype(np.float32)
        mapped = name.replace("model.", "", 1).replace("block_sparse_moe.experts", "feed_forward.experts") if kind == "mixtral" and ".experts." in name else name
        stored = names.get_name(mapped, try_suffixes=(".weight", ".bias"))
        assert stored, name
        head_count = kv if ".k_proj." in name else heads
        isPaired = arch in ("llama", "mistral3", "granite", "smollm3") and (".q_proj." in name or ".k_proj." in name)
        isKinds = ".query_key_value." in name
        holds = kind.startswith("gemma") and name.endswith("norm.weight")
        turns = kind == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
        if turns:
            values = np.ascontiguousarray(values.T)
        rows = pairs(values, heads if ".q_proj." in name else head_count) if isPaired else kinds(values, heads) if isKinds else values
        if values.ndim == 1:
            writer.add_tensor(stored, rows + np.float32(1) if holds else rows)
            kept[name] = values
            continue
        random, wanted = type_name.startswith("blocks-"), type_name.removeprefix("blocks-")
        fits = rows.shape[-1] % gguf.GGML_QUANT_SIZES[Q[wanted]][0] == 0
        qtype = Q[wanted] if fits else Q.F16
        data = random_blocks(rng, rows.shape, wanted) if random and fits else gguf.quants.quantize(rows, qtype)
        writer.add_tensor(stored, data, raw_dtype=qtype)
        back = numbers_of(data, qtype)
        back = unpaired(back, head_count) if isPaired else unkinds(back, heads) if isKinds else back
        if ".experts." in name:
            before, _, last = name.partition(".experts.")
            for e, one in enumerate(back):
                kept[f"{before}.experts.{e}.{last}"] = np.ascontiguousarray(one)
            continue
        kept[name] = np.ascontiguousarray(back.T if turns else back)
    for long_or_short in ("long", "short"):
        if f"{long_or_short}_factor" in rope:
            writer.add_tensor(f"rope_factors_{long_or_short}.weight", np.array(rope[f"{long_or_short}_factor"], dtype=np.float32))
    if rope.get("rope_type") == "llama3":
        theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
        width = config.get("head_dim") or config["hidden_size"] // heads
        divisors = []
        for i in range(0, width, 2):
            wavelength = 2 * np.pi * theta ** (i / width)
            low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
            high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
            if wavelength < high:
                divisors.append(1)
            elif wavelength > low:
                divisors.append(rope["factor"])
            else:
                smooth = (low * rope["low_freq_factor"] / wavelength - rope["low_freq_factor"]) / (
                    rope["high_freq_factor"] - rope["low_freq_factor"]
                )
                divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
        writer.add_tensor("rope_freqs.weight", np.array(divisors, dtype=np.float32))
    write(writer)
    save_file(kept, os.path.join(out, "folder", "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(out, "folder", "config.json"), "w") as file:
        json.dump(own if kind == "gpt2" else config, file)


def model(out):
    """Of 256 numbers wide maps, so that each of them is of whole blocks of every type."""
    import tempfile

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True, rms_norm_eps=1e-5,
    )
    base = LlamaForCausalLM(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        base.save_pretrained(os.path.join(folder, "base"))
        convert(os.path.join(folder, "base"), os.path.join(folder, "out"), "Q8_0")
        os.replace(os.path.join(folder, "out", "model.gguf"), out + ".gguf")
        same = LlamaForCausalLM.from_pretrained(os.path.join(folder, "out", "folder"), dtype=torch.float32).eval()
    ids = [1, 5, 17, 3, 39, 8]
    with torch.no_grad():
        logits = same(torch.tensor([ids])).logits[0].double().numpy()
    with open(out + ".json", "w") as file:
        json.dump({"ids": ids, "logits": [[round(float(x), 7) for x in row] for row in logits[-2:]]}, file)
        file.write("\n")


if __name__ == "__main__":
    {"blocks": blocks, "model": model, "convert": convert}[sys.argv[1]](*sys.argv[2:])
