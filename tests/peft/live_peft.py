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
import transformers
from peft import AdaptionPromptConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

IGNORED = -100


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


def padded(sequences, side):
    """Ids, mask, labels [samples, longest] and positions that count from each sequence's first token."""
    shape = len(sequences), max(len(s["ids"]) for s in sequences)
    ids, mask, labels = torch.zeros(shape, dtype=int), torch.zeros(shape, dtype=int), torch.full(shape, IGNORED)
    for row, sequence in enumerate(sequences):
        tokens, first = torch.tensor(sequence["ids"]), sequence["firstTarget"]
        begin = shape[1] - len(tokens) if side == "left" else 0
        ids[row, begin : begin + len(tokens)] = tokens
        mask[row, begin : begin + len(tokens)] = 1
        labels[row, begin + first : begin + len(tokens)] = tokens[first:]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "position_ids": positions}


def compute(base, adapter, sequences, padding, out, **_):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter, is_trainable=True).eval()
    batch = padded(sequences, padding)
    result = model(**batch, use_cache=False)
    result.loss.backward()
    tensors = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    tensors["logits"] = result.logits.detach()[batch["attention_mask"] == 1]
    save_file(tensors, out)
    stored, loaded = load_file(Path(adapter) / "adapter_model.safetensors"), get_peft_model_state_dict(model)
    return {
        "loss": result.loss.item(),
        "missing": sorted(loaded.keys() - stored.keys()),
        "unexpected": sorted(stored.keys() - loaded.keys()),
        "different": [key for key in stored.keys() & loaded.keys() if not torch.equal(stored[key].float(), loaded[key])],
    }


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": {"make": make, "compute": compute}[request["do"]](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
