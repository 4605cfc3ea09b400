"""Writes a tiny base as torch has it in memory: tied, transposed and fused storages, three dtypes. Its numbers lie beside its folder as safetensors.

Usage: python make_base.py [FOLDER]. Made with torch 2.13.0. Without FOLDER it goes beside this script.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

out = (Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent) / "base"
out.mkdir(exist_ok=True)
torch.manual_seed(5)
config = dict(
    model_type="llama", vocab_size=11, hidden_size=12, intermediate_size=10, num_hidden_layers=2,
    num_attention_heads=3, num_key_value_heads=1, head_dim=4, tie_word_embeddings=False,
)
(out / "config.json").write_text(json.dumps(config) + "\n")
embedding = torch.randn(11, 12)
state = {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding, "model.norm.weight": torch.randn(12)}
for layer in range(2):
    at = f"model.layers.{layer}."
    fused = torch.randn(20, 12).to(torch.float16)
    state[at + "self_attn.q_proj.weight"] = fused[:12]
    state[at + "self_attn.k_proj.weight"] = fused[12:16]
    state[at + "self_attn.v_proj.weight"] = fused[16:]
    state[at + "self_attn.o_proj.weight"] = torch.randn(12, 12).t()
    state[at + "mlp.gate_proj.weight"] = torch.randn(12, 10).to(torch.bfloat16).t()
    state[at + "mlp.up_proj.weight"] = torch.randn(10, 24)[:, ::2].to(torch.bfloat16)
    state[at + "mlp.down_proj.weight"] = torch.randn(12, 20)[:, ::2]
    state[at + "input_layernorm.weight"] = torch.ones(1).expand(12)
    state[at + "post_attention_layernorm.weight"] = torch.randn(24)[::2]
torch.save(state, out / "pytorch_model.bin")
save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, out.parent / "base.safetensors")
