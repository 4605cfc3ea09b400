"""Reads and writes torch files for torch.test.ts to compare.

Usage: python torch_check.py write FOLDER SEED COUNT    random files of torch, each with its tensors as safetensors
       python torch_check.py read FOLDER                every *.pth of the folder, by torch.load(weights_only=True), as safetensors
       python torch_check.py save_bin BASE FOLDER       two adapters with open gates, by PEFT, as adapter_model.bin
       python torch_check.py load BASE FOLDER           an adapter by PeftModel.from_pretrained, its tensors as FOLDER/peft.safetensors
"""

import random
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

NAMES = "float32 float16 bfloat16 float64 int64 int32 int16 int8 uint8 bool".split()


def tensor(rng):
    """A random view of a random storage."""
    shape = [rng.randint(0 if rng.random() < 0.1 else 1, 5) for _ in range(rng.randint(0, 4))]
    t = (torch.randn(shape) * 50).to(getattr(torch, rng.choice(NAMES)))
    for _ in range(rng.randint(0, 3)):
        kind = rng.randrange(5)
        if kind == 0 and t.dim() > 1:
            t = t.transpose(rng.randrange(t.dim()), rng.randrange(t.dim()))
        elif kind == 1 and t.dim() > 0:
            t = t[rng.randint(0, t.shape[0]) :]
        elif kind == 2 and t.dim() > 0:
            t = t[..., :: rng.randint(1, 3)]
        elif kind == 3:
            t = t.unsqueeze(0).expand(rng.randint(1, 3), *t.shape)
        elif kind == 4 and t.is_floating_point():
            t = torch.nn.Parameter(t, requires_grad=rng.random() < 0.5)
    return t


def plain(tensors):
    return {key: t.detach().contiguous().clone() for key, t in tensors.items()}


def write(folder, seed, count):
    torch.manual_seed(seed)
    rng = random.Random(seed)
    for i in range(count):
        tensors = OrderedDict((f"t{j}.é", tensor(rng)) for j in range(rng.randint(0, 6)))
        if tensors and rng.random() < 0.5:
            first = next(iter(tensors.values()))
            tensors["shared"] = first
            tensors["view"] = first.reshape(-1) if first.numel() == 0 else first.flatten()[:1]
        save_file(plain(tensors), folder / f"{i}.safetensors")
        if rng.random() < 0.3:
            tensors = {"model": dict(tensors), "epoch": i, "lr": 1e-3 / (i + 1), "note": None}
        torch.save(tensors, folder / f"{i}.pth")


class Attack:
    def __reduce__(self):
        import os

        return os.system, ("touch owned",)


def attacks(folder):
    torch.save({"t": torch.ones(2), "x": Attack()}, folder / "attack.bad")
    torch.save(torch.nn.Linear(2, 2), folder / "module.bad")
    torch.save({"t": torch.ones(2, dtype=torch.complex64)}, folder / "complex.bad")
    torch.save({"t": torch.ones(2).to_sparse()}, folder / "sparse.bad")


def load_base(base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def save_bin(base, folder):
    from peft import AdaptionPromptConfig, get_peft_model

    torch.manual_seed(5)
    model = get_peft_model(load_base(base), AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=3, adapter_layers=2))
    model.add_adapter("3", AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=4, adapter_layers=1))
    for name in ["3", "default"]:
        model.set_adapter(name)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key.endswith("adaption_gate"):
                    parameter.fill_(0.25 if name == "3" else 0.5)
    model.save_pretrained(folder / "bin", safe_serialization=False)
    model.save_pretrained(folder / "safe")


def load(base, folder):
    from peft import PeftModel, get_peft_model_state_dict

    model = PeftModel.from_pretrained(load_base(base), folder)
    save_file(plain(get_peft_model_state_dict(model)), folder / "peft.safetensors")


command, *rest = sys.argv[1:]
if command == "write":
    write(Path(rest[0]), int(rest[1]), int(rest[2]))
    attacks(Path(rest[0]))
elif command == "read":
    for path in Path(rest[0]).glob("*.pth"):
        state = torch.load(path, weights_only=True)
        save_file(plain(state.get("model", state)), path.with_suffix(".torch"))
elif command == "save_bin":
    save_bin(rest[0], Path(rest[1]))
else:
    load(rest[0], Path(rest[1]))
