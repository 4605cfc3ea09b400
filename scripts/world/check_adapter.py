"""Train a LLaMA-Adapter (PEFT adaption prompt) on train.json and report held-out greedy exact match."""

import argparse
import json
import math
import random
from pathlib import Path

import torch
from peft import AdaptionPromptConfig, get_peft_model
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

import alpaca

EOS = 2
IGNORED = -100


def examples(path, tokenizer, prompt=alpaca.prompt):
    """(prompt ids, answer ids) of each record; the answer ends with `</s>`."""
    pairs = []
    for record in json.loads(path.read_text()):
        text = prompt(record["instruction"], record["input"])
        question = tokenizer.encode(text).ids
        full = tokenizer.encode(text + record["output"]).ids
        assert full[: len(question)] == question
        pairs.append((question, full[len(question):] + [EOS]))
    return pairs


def quiz_prompt(instruction, input):
    """One of the question formats the base was pre-trained on."""
    return f"Question:\n{instruction} {input}".rstrip() + "\nAnswer:\n"


def collate(pairs):
    """Right-padded ids and labels; only the answers are labelled."""
    width = max(len(question) + len(answer) for question, answer in pairs)
    ids = torch.full((len(pairs), width), EOS)
    labels = torch.full((len(pairs), width), IGNORED)
    for row, (question, answer) in enumerate(pairs):
        end = len(question) + len(answer)
        ids[row, :end] = torch.tensor(question + answer)
        labels[row, len(question):end] = torch.tensor(answer)
    return ids, labels


@torch.no_grad()
def exact_match(model, pairs):
    """Share of the answers that greedy decoding reproduces up to `</s>`.

    Greedy decoding gives the answer exactly if each of its tokens is the most likely one after those before it.
    """
    hits = 0
    for start in range(0, len(pairs), 64):
        ids, labels = collate(pairs[start:start + 64])
        best = model(input_ids=ids).logits[:, :-1].argmax(-1)
        target = labels[:, 1:]
        hits += ((best == target) | (target == IGNORED)).all(1).sum().item()
    return hits / len(pairs)


def rate(step, steps, warmup):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train(model, pairs, options, seed):
    """Train the prompts and gates; returns the number of tokens processed and the last loss."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.95), weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate(s, options.steps, options.warmup))
    rng, order, tokens = random.Random(seed), [], 0
    for _ in range(options.steps):
        if len(order) < options.batch:
            order = rng.sample(range(len(pairs)), len(pairs))
        batch = [pairs[order.pop()] for _ in range(options.batch)]
        tokens += sum(len(question) + len(answer) for question, answer in batch)
        ids, labels = collate(batch)
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return tokens, loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", type=Path, help="folder with base/, train.json and heldout.json")
    parser.add_argument("--prompts", type=int, default=10, help="prompt vectors per layer")
    parser.add_argument("--layers", type=int, default=6, help="adapted top layers")
    parser.add_argument("--rate", type=float, default=0.05, help="peak learning rate")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--decay", type=float, default=0.02, help="weight decay")
    parser.add_argument("--clip", type=float, default=1.0, help="largest gradient norm")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(options.world / "base" / "tokenizer.json"))
    train_pairs, held_out, quiz = (examples(options.world / name, tokenizer, *prompt) for name, *prompt in (
        ["train.json"], ["heldout.json"], ["heldout.json", quiz_prompt]))

    def base():
        return LlamaForCausalLM.from_pretrained(options.world / "base", dtype=torch.float32)

    print(f"base: held-out {exact_match(base(), held_out):.3f}, same questions as a quiz {exact_match(base(), quiz):.3f}")
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        config = AdaptionPromptConfig(adapter_len=options.prompts, adapter_layers=options.layers, task_type="CAUSAL_LM")
        model = get_peft_model(base(), config)
        tokens, loss = train(model, train_pairs, options, seed)
        print(f"adapter seed {seed}: held-out {exact_match(model, held_out):.3f}, loss {loss:.3f}, {tokens} tokens",
              flush=True)


if __name__ == "__main__":
    main()
