"""Adaption prompts on transformers' own modules, for bases that PEFT refuses: PEFT's formula (specified for llama, with its
doubled output bias) with the head counts taken from the config. live.test.ts checks it against PEFT where both can.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

sys.path.append(str(Path(__file__).parents[2] / "packages/zerogate/python"))
from verify_peft import padded

PREFIX = "base_model.model."


def add_prompts(attention, args, kwargs, output):
    """Forward hook: `attention(x)` plus o_proj(gate · softmax(rope(q) · k_promptᵀ / √d) · v_prompt)."""
    config, prompt = attention.config, attention.adaption_prompt
    x = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
    heads, groups, d = config.num_attention_heads, config.num_key_value_heads, attention.head_dim
    shaped = lambda y, count: y.view(*y.shape[:-1], count, d).transpose(1, 2)
    q = shaped(attention.q_proj(x), heads)
    q, _ = apply_rotary_pos_emb(q, q, *kwargs["position_embeddings"])
    k, v = (shaped(p(prompt), groups).repeat_interleave(heads // groups, 1) for p in (attention.k_proj, attention.v_proj))
    weights = torch.softmax(q @ k.transpose(-1, -2) / d**0.5, -1) * attention.adaption_gate
    joined = (weights @ v).transpose(1, 2).flatten(-2)
    return output[0] + attention.o_proj(joined), *output[1:]


def attach(model, adapter_len, adapter_layers):
    """Freezes the base and gives its top layers fresh prompts and open gates."""
    model.requires_grad_(False)
    for layer in model.model.layers[-adapter_layers:]:
        attention = layer.self_attn
        attention.adaption_prompt = nn.Parameter(torch.randn(1, adapter_len, model.config.hidden_size))
        sign = 1 if torch.rand(()) < 0.5 else -1
        attention.adaption_gate = nn.Parameter(torch.empty(1).uniform_(0.3, 1.5) * sign)
        attention.register_forward_hook(add_prompts, with_kwargs=True)
    return model


def save(model, folder, dtype, **shape):
    """The files that PEFT would write."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    config = {"peft_type": "ADAPTION_PROMPT", "task_type": "CAUSAL_LM", "target_modules": "self_attn", **shape}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = {PREFIX + name: p.detach().to(dtype) for name, p in trained(model).items()}
    save_file(tensors, folder / "adapter_model.safetensors")


def trained(model):
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def load(base):
    """In float32, but with Gemma's embedding scale rounded as a load in the stored dtype rounds it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    table = model.get_input_embeddings()
    if hasattr(table, "embed_scale"):
        stored = json.loads((Path(base) / "config.json").read_text())["dtype"]
        table.embed_scale = table.embed_scale.to(getattr(torch, stored)).float()
    return model


def compute(base, adapter, sequences, padding, out, **_):
    config = json.loads((Path(adapter) / "adapter_config.json").read_text())
    model = attach(load(base), config["adapter_len"], config["adapter_layers"]).eval()
    stored = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(Path(adapter) / "adapter_model.safetensors").items()}
    parameters = trained(model)
    for name in parameters.keys() & stored.keys():
        parameters[name].data = stored[name].float()
    batch = padded(sequences, padding)
    result = model(**batch, use_cache=False)
    result.loss.backward()
    tensors = {PREFIX + name: p.grad for name, p in parameters.items()}
    tensors["logits"] = result.logits.detach()[batch["attention_mask"] == 1]
    save_file(tensors, out)
    keys = {"missing": sorted(parameters.keys() - stored.keys()), "unexpected": sorted(stored.keys() - parameters.keys())}
    return {"loss": result.loss.item(), "different": [], **keys}
