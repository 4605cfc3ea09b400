"""PEFT's adaption prompt on transformers and PyTorch, CPU: seconds of optimizer steps over given samples.

    python peft_step.py JOB.json      prints one JSON line per setting

A job names the model folder, samples (ids, and where targets begin), the global batch, K, L, threads and settings
[{"dtype", "padding": "sorted" | "full", "micro"}]. All settings run once to warm up, then in turn, round after round.
"""
import json
import sys
import time

import torch
import transformers
from peft import AdaptionPromptConfig, get_peft_model

job = json.load(open(sys.argv[1]))
torch.set_num_threads(job["threads"])
transformers.logging.set_verbosity_error()
samples = job["samples"]
full_length = job["fullLength"]


def micro_batches(batch, setting):
    """The batch's samples as padded tensors; `sorted` groups by length first."""
    order = sorted(batch, key=lambda s: len(s["ids"])) if setting["padding"] == "sorted" else batch
    for at in range(0, len(order), setting["micro"]):
        part = order[at : at + setting["micro"]]
        width = full_length if setting["padding"] == "full" else max(len(s["ids"]) for s in part)
        ids = torch.zeros(len(part), width, dtype=torch.long)
        mask = torch.zeros(len(part), width, dtype=torch.long)
        labels = torch.full((len(part), width), -100)
        for i, s in enumerate(part):
            n = len(s["ids"])
            ids[i, :n] = torch.tensor(s["ids"])
            mask[i, :n] = 1
            labels[i, :n] = torch.where(torch.tensor(s["target"]) == 1, ids[i, :n], -100)
        yield ids, mask, labels


def load(dtype):
    base = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, dtype))
    config = AdaptionPromptConfig(adapter_len=job["K"], adapter_layers=job["L"], task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    for name, p in model.named_parameters():
        if name.endswith("adaption_gate"):
            torch.nn.init.constant_(p, 0.1)
    return model, torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)


models = {dtype: load(dtype) for dtype in {s["dtype"] for s in job["settings"]}}


def run(setting):
    model, optimizer = models[setting["dtype"]]
    model.train()
    begin = time.perf_counter()
    for at in range(0, len(samples), job["batch"]):
        batch = samples[at : at + job["batch"]]
        targets = sum(sum(s["target"][1:]) for s in batch)
        for ids, mask, labels in micro_batches(batch, setting):
            logits = model(input_ids=ids, attention_mask=mask).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
            (loss / targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - begin


tokens = sum(len(s["ids"]) for s in samples)
versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
rates = {i: [] for i in range(len(job["settings"]))}
for round in range(-1, job["rounds"]):
    for i, setting in enumerate(job["settings"]):
        if setting["padding"] == "full" and round > 0:
            continue  # minutes each, and far from close
        seconds = run(setting)
        if round >= 0:
            rates[i].append(tokens / seconds)
for i, setting in enumerate(job["settings"]):
    rate = sorted(rates[i])[len(rates[i]) // 2]
    print(json.dumps({**setting, "tokensPerSecond": rate, "versions": versions}), flush=True)
