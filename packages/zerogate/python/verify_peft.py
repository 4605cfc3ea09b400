"""What Hugging Face PEFT computes with a base and an adapter, for `zerogate verify --against peft` to compare.

Usage: python verify_peft.py JOB.json. The job names the folders `base` and `adapter`, `sequences` of {ids, firstTarget},
`padding` (left or right), and `out`, the file for the logits of all real tokens back to back (float32, sequence after
sequence) and the gradients of the mean loss by PEFT's parameter names. One JSON object on stdout says the rest.
Exit code 3: a package is missing.
"""

import json
import sys
from pathlib import Path

try:
    import peft
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

IGNORED = -100


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


def key_report(model, folder):
    """PEFT says nothing about tensors that are missing, surplus or not taken over."""
    path, loaded = Path(folder) / "adapter_model.safetensors", peft.get_peft_model_state_dict(model)
    stored = load_file(path) if path.exists() else torch.load(path.with_suffix(".bin"), weights_only=True)
    taken = stored.keys() & loaded.keys()
    return {
        "missing": sorted(loaded.keys() - stored.keys()),
        "unexpected": sorted(stored.keys() - loaded.keys()),
        "different": sorted(key for key in taken if not torch.equal(stored[key].float(), loaded[key].float())),
    }


def compute(base, adapter, sequences, padding, out, **_):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, adapter, is_trainable=True).eval()
    batch = padded(sequences, padding)
    result = model(**batch, use_cache=False)
    result.loss.backward()
    tensors = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    tensors["logits"] = result.logits.detach()[batch["attention_mask"] == 1]
    save_file(tensors, out)
    versions = {module.__name__: module.__version__ for module in (peft, transformers, torch)}
    return {"loss": result.loss.item(), "versions": versions, **key_report(model, adapter)}


def be_quiet():
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


if __name__ == "__main__":
    be_quiet()
    print(json.dumps(compute(**json.loads(Path(sys.argv[1]).read_text()))))
