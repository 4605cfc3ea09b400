"""The real PEFT, asked line by line, for live.test.ts: one process serves all cases, since importing it takes seconds.

Reads one JSON object a line and answers each with one line {"ok": …} or {"error": …}, in order. Requests:
  {"do": "make", "base": FOLDER, "config": …, "storage": dtype, "seed": n, "adapter": FOLDER, "shape": {adapter_len, adapter_layers}}
      writes a random base of this transformers config and an adapter with PEFT's own prompts and open gates
  {"do": "compute", "base": FOLDER, "adapter": FOLDER, "sequences": [{ids, firstTarget}], "padding": "left" | "right", "out": FILE}
      writes the logits of all real tokens back to back and PEFT's gradients, and answers {loss, missing, unexpected, different}
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import AdaptionPromptConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.append(str(Path(__file__).parents[2] / "packages/trainer/python"))
from verify_peft import be_quiet, compute


def make(base, config, storage, seed, adapter, shape, **_):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            randomise(name, parameter)
    dtype = getattr(torch, storage)
    model.to(dtype).save_pretrained(base)
    model = get_peft_model(model, AdaptionPromptConfig(task_type="CAUSAL_LM", **shape))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("adaption_gate"):
                parameter.uniform_(0.3, 1.5).mul_(1 if torch.rand(()) < 0.5 else -1)
    model.save_pretrained(adapter)
    return {}


def randomise(name, parameter):
    """Weights so large that every block matters: activations of order one, norms and biases that differ by channel.

    The bias of the output projection stays 0: PEFT adds it twice (a zero gate is not the base there), Zerogate once.
    """
    if name.endswith(("o_proj.bias", "c_proj.bias")):
        parameter.zero_()
    elif parameter.dim() > 1:
        is_table = "embed" in name or "wte" in name or "wpe" in name
        parameter.normal_(0, 1 if is_table else parameter.shape[-1] ** -0.5)
    else:
        parameter.normal_(1 if "norm" in name or "ln_" in name and name.endswith("weight") else 0, 0.2)


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    be_quiet()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": {"make": make, "compute": compute}[request["do"]](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
