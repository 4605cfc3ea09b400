"""transformers' greedy generate on CPU: prefill and decoding rates, as one JSON line per dtype. The job is argument 1."""
import json
import sys
import time

import torch
import transformers

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
transformers.logging.set_verbosity_error()
prompt = torch.tensor([job["prompt"]])


def seconds(model, new_tokens):
    begin = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False
        )
    return time.perf_counter() - begin


for dtype in ["bfloat16", "float32"]:
    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, dtype)).eval()
    seconds(model, job["newTokens"])
    prefills, decodes = [], []
    for _ in range(job["rounds"]):
        prefill = seconds(model, 1)
        whole = seconds(model, job["newTokens"])
        prefills.append(len(job["prompt"]) / prefill)
        decodes.append((job["newTokens"] - 1) / (whole - prefill))
    middle = job["rounds"] // 2
    print(json.dumps({"who": f"transformers {dtype}", "prefill": sorted(prefills)[middle], "decode": sorted(decodes)[middle]}))
