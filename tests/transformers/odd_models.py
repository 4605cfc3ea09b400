"""What transformers computes with each of these checkpoints, for odd_configs.test.ts: one process for all.

Reads {"ids": [...], "folders": [...]} and prints one JSON object a folder: {"logits": [...], "unexpected": [...]} or {"error": "..."}.
A model with tensors that were not in its files counts as an error: their numbers are random.
"""

import json
import sys
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def compute(folder, ids):
    # A generation that was asked for in vain raises SystemExit nowhere; strict configs raise classes of their own.
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if report["missing_keys"] or report["mismatched_keys"]:
        return {"error": f"not in the files: {sorted(report['missing_keys'])} {sorted(report['mismatched_keys'])}"}
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids]), use_cache=False).logits[0]
    return {"logits": logits.flatten().tolist(), "unexpected": sorted(report["unexpected_keys"])}


job = json.load(sys.stdin)
for folder in job["folders"]:
    try:
        answer = compute(folder, job["ids"])
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(answer), flush=True)
