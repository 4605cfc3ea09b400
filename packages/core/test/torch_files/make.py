"""Writes the files of torch that torch_file.test.ts reads, each with the same tensors as safetensors.

Usage: python make.py [FOLDER]. Made with torch 2.13.0. Without FOLDER they go beside this script.
"""

import argparse
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
torch.manual_seed(3)
dtypes = ["float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"]


def save(name, value, tensors, **how):
    torch.save(value, out / f"{name}.pth", **how)
    save_file({key: tensor.detach().contiguous().clone() for key, tensor in tensors.items()}, out / f"{name}.safetensors")


plain = {name: (torch.randn(3, 4) * 40).to(getattr(torch, name)) for name in dtypes}
save("dtypes", plain, plain)

whole = torch.randn(6, 5, 4)
views = {
    "rows": whole[2:4],
    "columns": whole[:, 1:3],
    "every_other": whole[::2, :, 1],
    "transposed": whole.transpose(0, 2),
    "permuted": whole.permute(1, 2, 0),
    "expanded": whole[:1, :1].expand(3, 2, 4),
    "scalar": whole[5, 4, 3],
    "empty": whole[3:3],
    "ones": whole[:1, 2:3, 3:].unsqueeze(0),
    "diagonal": torch.randn(7, 7).diagonal(),
}
save("views", views, views)

linear = torch.nn.Linear(3, 2)
state = linear.state_dict()
save("state_dict", state, state)
parameters = OrderedDict(linear.named_parameters())
save("parameters", parameters, parameters)

adapter = {"adapter_query.weight": torch.randn(4, 6), "layers.0.attention.gate": torch.randn(1, 2, 1, 1)}
optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], betas=(0.9, 0.95))
checkpoint = {
    "model": adapter,
    "optimizer": optimizer.state_dict(),
    "epoch": 4,
    "big": -(2**40),
    "scaler": {"scale": 65536.0, "_growth_tracker": 0},
    "args": argparse.Namespace(adapter_len=10, blr=9e-3, resume=None),
    "size": torch.Size([2, 3]),
    "list": [1, 300, 70000, None, True, "é"],
}
save("checkpoint", checkpoint, adapter)
torch.serialization.set_crc32_options(False)
save("without_crc", plain, plain)
torch.serialization.set_crc32_options(True)
torch.save(adapter, out / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(adapter, out / "protocol_4.pth", pickle_protocol=4)
