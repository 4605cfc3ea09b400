"""What Hugging Face PEFT computes with adapter folders, for peft.test.ts to compare.

Usage: python peft_check.py JOBS.json OUT

JOBS.json is a list of jobs: `name`, the folders `base` and `adapter`, `sequences` of {ids, firstTarget}, `prompt`, `newTokens`,
and `make` = {adapter_len, adapter_layers, seed} where PEFT is to write `adapter` first. Per job it writes
OUT/name.safetensors (logits of all tokens back to back, gradients by PEFT's parameter names) and OUT/name.json.
"""

import json
import sys
from pathlib import Path

import torch
from peft import AdaptionPromptConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

IGNORED = -100


def load_base(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def make_adapter(base, folder, seed, **shape):
    """Writes an adapter with PEFT's own random prompts and gates between 0.4 and 1.2 of either sign."""
    torch.manual_seed(seed)
    model = get_peft_model(load_base(base), AdaptionPromptConfig(task_type="CAUSAL_LM", **shape))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("adaption_gate"):
                parameter.uniform_(0.4, 1.2).mul_(1 if torch.rand(()) < 0.5 else -1)
    model.save_pretrained(folder)


def key_report(model, folder):
    """PEFT says nothing about tensors that are missing, surplus or not taken over."""
    stored, loaded = load_file(Path(folder) / "adapter_model.safetensors"), get_peft_model_state_dict(model)
    return {
        "missing": sorted(loaded.keys() - stored.keys()),
        "unexpected": sorted(stored.keys() - loaded.keys()),
        "different": [key for key in stored.keys() & loaded.keys() if not torch.equal(stored[key], loaded[key])],
    }


def padded(sequences):
    """Right-padded ids, mask and labels [samples, longest]."""
    shape = len(sequences), max(len(s["ids"]) for s in sequences)
    ids, mask, labels = torch.zeros(shape, dtype=int), torch.zeros(shape, dtype=int), torch.full(shape, IGNORED)
    for row, sequence in enumerate(sequences):
        tokens, first = torch.tensor(sequence["ids"]), sequence["firstTarget"]
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        labels[row, first : len(tokens)] = tokens[first:]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def run(job, out):
    if job.get("make"):
        make_adapter(job["base"], job["adapter"], **job["make"])
    model = PeftModel.from_pretrained(load_base(job["base"]), job["adapter"], is_trainable=True).eval()
    batch = padded(job["sequences"])
    result = model(**batch, use_cache=False)
    result.loss.backward()
    tensors = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    tensors["logits"] = result.logits.detach()[batch["attention_mask"] == 1]
    greedy = model.generate(
        input_ids=torch.tensor([job["prompt"]]),
        max_new_tokens=job["newTokens"],
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    report = {
        **key_report(model, job["adapter"]),
        "loss": result.loss.item(),
        "greedy": greedy[0, len(job["prompt"]) :].tolist(),
    }
    save_file(tensors, out / f"{job['name']}.safetensors")
    (out / f"{job['name']}.json").write_text(json.dumps(report))


def main(jobs, out):
    torch.set_num_threads(1)
    for job in json.loads(Path(jobs).read_text()):
        run(job, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
