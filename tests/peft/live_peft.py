"""The real PEFT, asked line by line, for live.test.ts: one process serves all cases, since importing it takes seconds.

Reads one JSON object a line and answers each with one line {"ok": …} or {"error": …}, in order. `against` is "peft", or
"torch" for bases that PEFT refuses (torch_adapter.py stands in). Requests:
  {"do": "make", "against": …, "base": FOLDER, "config": …, "storage": dtype, "seed": n, "adapter": FOLDER, "shape": {adapter_len, adapter_layers}}
      writes a random base of this transformers config and an adapter with PEFT's own prompts and open gates
  {"do": "compute", "against": …, "base": FOLDER, "adapter": FOLDER, "sequences": [{ids, firstTarget}], "padding": "left" | "right", "out": FILE}
      writes the logits of all real tokens back to back and PEFT's gradients, and answers {loss, missing, unexpected, different}
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import AdaptionPromptConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.append(str(Path(__file__).parents[2] / "packages/zerogate/python"))
import torch_adapter
import verify_peft


def make(base, config, storage, seed, adapter, shape, against, **_):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            randomise(name, parameter, 0 if config["model_type"] == "gemma" else 1)
    dtype = getattr(torch, storage)
    model.to(dtype).save_pretrained(base)
    if against == "torch":
        torch_adapter.save(torch_adapter.attach(model, **shape), adapter, dtype, **shape)
        return {}
    model = get_peft_model(model, AdaptionPromptConfig(task_type="CAUSAL_LM", **shape))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("adaption_gate"):
                parameter.uniform_(0.3, 1.5).mul_(1 if torch.rand(()) < 0.5 else -1)
    model.save_pretrained(adapter)
    return {}


def randomise(name, parameter, norm):
    """Weights so large that every block matters: activations of order one, norms and biases that differ by channel."""
    if parameter.dim() > 1:
        is_table = "embed" in name or "wte" in name or "wpe" in name
        inputs = parameter.shape[0 if "c_" in name else -1]  # gpt2's maps lie the other way
        parameter.normal_(0, 1 if is_table else inputs**-0.5)
    else:
        is_norm = name.endswith("weight") and ("norm" in name or "ln_" in name)
        parameter.normal_(norm if is_norm else 0, 0.2)


def compute(against, **job):
    return (torch_adapter if against == "torch" else verify_peft).compute(**job)


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    verify_peft.be_quiet()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": {"make": make, "compute": compute}[request["do"]](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
