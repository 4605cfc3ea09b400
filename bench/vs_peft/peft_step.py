"""PEFT on transformers and PyTorch: seconds of optimizer steps over given samples, on the CPU or a GPU.

    python peft_step.py JOB.json      prints one JSON line per setting

A job names the model folder, or the `config` of one with random weights; samples (ids, and where targets begin), the global batch,
K, L, threads and settings [{"dtype", "padding": "sorted" | "full", "micro", "method": "adaption_prompt" | "lora"}]. All settings
run once to warm up, then in turn, round after round. `device` is cpu unless given.
"""
import json
import sys
import time

import peft
import torch
import transformers
from peft import AdaptionPromptConfig, LoraConfig, get_peft_model

job = json.load(open(sys.argv[1]))
device = job.get("device", "cpu")
if "threads" in job:
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
        yield ids.to(device), mask.to(device), labels.to(device)


def base_of(dtype):
    if "config" not in job:
        return transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, dtype)).to(device)
    with torch.device(device):  # random weights, made where they are used
        config = transformers.AutoConfig.for_model(**job["config"])
        return transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))


def load(dtype, method):
    configs = {
        "adaption_prompt": lambda: AdaptionPromptConfig(adapter_len=job["K"], adapter_layers=job["L"], task_type="CAUSAL_LM"),
        "lora": lambda: LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    }
    model = get_peft_model(base_of(dtype), configs[method]()).to(device)
    for name, p in model.named_parameters():
        if name.endswith("adaption_gate"):
            torch.nn.init.constant_(p, 0.1)
    return model, torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)


def key_of(setting):
    return setting["dtype"], setting.get("method", "adaption_prompt")


models = {key: load(*key) for key in dict.fromkeys(map(key_of, job["settings"]))}


def run(setting):
    model, optimizer = models[key_of(setting)]
    model.train()
    if device != "cpu":
        torch.cuda.synchronize()
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
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


tokens = sum(len(s["ids"]) for s in samples)
versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
rates = {i: [] for i in range(len(job["settings"]))}
for round in range(-1, job["rounds"]):
    for i, setting in enumerate(job["settings"]):
        if setting["padding"] == "full" and device == "cpu" and round > 0:
            continue  # minutes each, and far from close
        seconds = run(setting)
        if round >= 0:
            rates[i].append(tokens / seconds)
for i, setting in enumerate(job["settings"]):
    rate = sorted(rates[i])[len(rates[i]) // 2]
    print(json.dumps({**setting, "tokensPerSecond": rate, "versions": versions}), flush=True)
