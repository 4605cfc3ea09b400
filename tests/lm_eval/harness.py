"""Runs lm-evaluation-harness on local files and writes what it asked and scored, item by item.

    python harness.py MODEL FOLDER OUT.json '[{"task": "arc_easy", "shots": 0, "limit": 200}, ...]'

FOLDER holds NAME_SPLIT.jsonl, in the fields of the Hub; of MMLU with all subjects in one file.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedTokenizerFast

# The split that each task evaluates, and the one that its examples come from.
SPLITS = {
    "mmlu": ("test", "dev"),
    "arc_easy": ("test", "train"),
    "arc_challenge": ("test", "train"),
    "openbookqa": ("test", "train"),
    "sciq": ("test", "train"),
    "hellaswag": ("validation", "train"),
    "piqa": ("validation", "train"),
    "boolq": ("validation", "train"),
    "winogrande": ("validation", "train"),
    "copa": ("validation", "train"),
    "commonsense_qa": ("validation", "train"),
    "gsm8k": ("test", "train"),
}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines() if line.strip()]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf8")


def config(name, task, evaluated, examples, temporary):
    """The harness's own definition over local files."""
    split, shots_split = SPLITS[task]
    if task == "boolq":  # BoolQ's own files have the answer itself, SuperGLUE's a label
        for records in (evaluated, examples):
            for record in records:
                record["label"] = int(record.get("label", record["answer"] if "answer" in record else 0))
    files = {}
    for which, records in ((split, evaluated), (shots_split, examples)):
        path = temporary / f"{name}_{which}.jsonl"
        write(path, records)
        files[which] = str(path)
    own = {"task": name, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    own["training_split"] = shots_split if shots_split == "train" else None
    own["validation_split"] = split if split == "validation" else None
    own["test_split"] = split if split == "test" else None
    return own


def main(model, folder, out, requests):
    manager = TaskManager()
    # AutoTokenizer builds Llama's pipeline anew and leaves the normaliser of tokenizer.json out: other ids for two spaces.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    lm = HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", dtype="float32", batch_size=1)
    found = {}
    with tempfile.TemporaryDirectory() as made:
        for n, request in enumerate(requests):
            task, shots, limit = request["task"], request.get("shots", 0), request.get("limit")
            evaluated = read(Path(folder) / request["file"])
            file = request.get("examples")
            examples = read(Path(folder) / file) if file else evaluated[:1]
            subjects = sorted({record["subject"] for record in evaluated}) if task == "mmlu" else [None]
            items, totals = [], {}
            for subject in subjects:
                name = task if subject is None else f"mmlu_{subject}"
                own = [r for r in evaluated if subject in (None, r.get("subject"))]
                own_examples = [r for r in examples if subject in (None, r.get("subject"))] or own[:1]
                temporary = Path(made) / f"{n}_{name}"
                temporary.mkdir()
                chosen = config(name, task, own, own_examples, temporary)
                built = manager._factory.build(manager._entry(name), overrides=chosen, registry=manager._index)
                result = lm_eval.simple_evaluate(
                    model=lm, tasks=[built], num_fewshot=shots, limit=limit, log_samples=True, bootstrap_iters=0
                )
                totals[name] = {k: v for k, v in result["results"][name].items() if isinstance(v, (int, float))}
                for sample in sorted(result["samples"][name], key=lambda s: s["doc_id"]):
                    pairs = [[arg[0], arg[1]] for arg in sample["arguments"]]
                    resps = [resp[0] for resp in sample["resps"]]
                    scores = [resp[0] if isinstance(resp, (list, tuple)) else resp for resp in resps]
                    own_metrics = {k: float(sample[k]) for k in ("acc", "acc_norm", "exact_match") if k in sample}
                    filtered = {"filter": sample["filter"], "answer": sample["filtered_resps"]}
                    items.append(
                        {
                            "doc": sample["doc_id"],
                            **({"section": subject} if subject is not None else {}),
                            "pairs": pairs,
                            "scores": scores,
                            **own_metrics,
                            **(filtered if task == "gsm8k" else {}),
                        }
                    )
            found[request.get("name", f"{task} {shots}")] = {**request, "items": items, "totals": totals}
    Path(out).write_text(json.dumps(found, ensure_ascii=False), encoding="utf8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
