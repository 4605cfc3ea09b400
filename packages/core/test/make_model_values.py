"""Makes model_values.json: what transformers 5.18 (torch 2.13, float32) computes with tiny checkpoints whose config.json and
tensors do not say the same, for src/node/model_values.test.ts, which writes the same checkpoints. Run it in this folder.

A number of tensor t (in the order of the list) at flat index i is mean + 0.5 * sin(0.9 * t + 1.7 * i + 0.3), where mean is 1
for norms and 0 for all else and for Gemma's norms, in float64, rounded to float32.
"""

import json
import math
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

V, D, F, LAYERS, HEADS = 13, 8, 12, 3, 2
IDS = [3, 7, 1, 12, 5, 5, 9, 0]

llama = {
    "model_type": "llama", "vocab_size": V, "hidden_size": D, "intermediate_size": F, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 32,
}
mistral = {**llama, "model_type": "mistral", "sliding_window": 3}
gemma = {**llama, "model_type": "gemma"}
gpt2 = {
    "model_type": "gpt2", "vocab_size": V, "n_embd": D, "n_inner": F, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 32,
}
mixed = ["full_attention", "sliding_attention", "full_attention"]


def llama_tensors():
    shapes = {"model.embed_tokens.weight": [V, D], "model.norm.weight": [D]}
    for i in range(LAYERS):
        layer = {
            "input_layernorm": [D], "post_attention_layernorm": [D], "self_attn.q_proj": [8, D], "self_attn.k_proj": [4, D],
            "self_attn.v_proj": [4, D], "self_attn.o_proj": [D, 8], "mlp.gate_proj": [F, D], "mlp.up_proj": [F, D],
            "mlp.down_proj": [D, F],
        }
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


def gpt2_tensors():
    shapes = {"transformer.wte.weight": [V, D], "transformer.wpe.weight": [32, D]}
    shapes |= {"transformer.ln_f.weight": [D], "transformer.ln_f.bias": [D]}
    for i in range(LAYERS):
        maps = {"attn.c_attn": [D, 3 * D], "attn.c_proj": [D, D], "mlp.c_fc": [D, F], "mlp.c_proj": [F, D]}
        for name, shape in maps.items():
            shapes |= {f"transformer.h.{i}.{name}.weight": shape, f"transformer.h.{i}.{name}.bias": shape[1:]}
        for name in ["ln_1", "ln_2"]:
            shapes |= {f"transformer.h.{i}.{name}.weight": [D], f"transformer.h.{i}.{name}.bias": [D]}
    return shapes


HEAD = {"lm_head.weight": [V, D]}
no_embedding = {name: shape for name, shape in llama_tensors().items() if "embed" not in name}
no_gpt2_embedding = {name: shape for name, shape in gpt2_tensors().items() if "wte" not in name}
biases = {f"model.layers.{i}.self_attn.{name}_proj.bias": [size] for i in range(LAYERS) for name, size in [("q", 8), ("k", 4)]}
cases = [
    ("llama, tied, another head in the file", {**llama, "tie_word_embeddings": True}, llama_tensors() | HEAD),
    ("gemma, tied by default, another head in the file", gemma, llama_tensors() | HEAD),
    ("gpt2, tied by default, another head in the file", gpt2, gpt2_tensors() | HEAD),
    ("llama, tied, the head alone in the file", {**llama, "tie_word_embeddings": True}, no_embedding | HEAD),
    ("gemma, tied by default, the head alone in the file", gemma, no_embedding | HEAD),
    ("gpt2, tied by default, the head alone in the file", gpt2, no_gpt2_embedding | HEAD),
    ("gpt2, not tied", {**gpt2, "tie_word_embeddings": False}, gpt2_tensors() | HEAD),
    ("mistral, a window in every layer", mistral, llama_tensors() | HEAD),
    ("mistral, layer_types: a window in one layer", {**mistral, "layer_types": mixed}, llama_tensors() | HEAD),
    ("mistral, layer_types: a window in none", {**mistral, "layer_types": ["full_attention"] * 3}, llama_tensors() | HEAD),
    ("llama, biases that the config does not ask for", llama, llama_tensors() | HEAD | biases),
    ("llama, swish", {**llama, "hidden_act": "swish"}, llama_tensors() | HEAD),
]


def numbers(t, name, shape, is_gemma):
    is_norm = any(part in name for part in ["norm", "ln_"]) and name.endswith("weight") and not is_gemma
    count = math.prod(shape)
    values = [int(is_norm) + 0.5 * math.sin(0.9 * t + 1.7 * i + 0.3) for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).float().reshape(shape)


def logits(config, shapes):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        is_gemma = config["model_type"] == "gemma"
        tensors = {name: numbers(t, name, shape, is_gemma) for t, (name, shape) in enumerate(shapes.items())}
        save_file(tensors, Path(folder, "model.safetensors"), {"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.tensor([IDS]), use_cache=False).logits[0, -1].tolist()


values = [
    {"name": name, "config": config, "tensors": shapes, "logits": [float(f"{x:.7g}") for x in logits(config, shapes)]}
    for name, config, shapes in cases
]
lines = ",\n".join(json.dumps(value) for value in values)
Path("model_values.json").write_text(f'{{"ids": {json.dumps(IDS)}, "cases": [\n{lines}\n]}}\n')
