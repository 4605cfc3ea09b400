"""Writes sampling_values.json: what transformers' own choice and order of logits processors makes of logits. Its first argument is
where to write; run with any Python that has torch and transformers; the committed file is from transformers 5.18, torch 2.13."""

import json
import sys

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

V = 40
model = GPT2LMHeadModel(GPT2Config(vocab_size=V, n_embd=8, n_layer=1, n_head=1, n_positions=32))
PROMPT, ANSWER = [3, 17, 3, 9, 30], [5, 17, 5]
SETTINGS = [
    dict(temperature=1.0),
    dict(temperature=0.7),
    dict(temperature=2.5, top_k=5),
    dict(temperature=0.9, top_k=60),
    dict(temperature=1.0, top_k=3),
    dict(temperature=1.0, top_p=0.5),
    dict(temperature=1.3, top_p=0.9),
    dict(temperature=1.3, top_k=12, top_p=0.8),
    dict(temperature=1.0, min_p=0.05),
    dict(temperature=2.0, min_p=0.3),
    dict(temperature=1.5, top_k=20, top_p=0.95, min_p=0.1),
    dict(temperature=1.0, repetition_penalty=1.7),
    dict(temperature=0.8, repetition_penalty=0.6, top_p=0.9),
    dict(temperature=1.0, bias={17: 2.0, 4: -100.0, 9: -1.5}),
    dict(temperature=1.2, bias={17: -3.0, 30: 4.0}, repetition_penalty=1.4, top_k=10, top_p=0.9, min_p=0.02),
]

generator = torch.Generator().manual_seed(1)
cases = []
for n, settings in enumerate(SETTINGS):
    logits = (torch.randn(V, generator=generator) * (1 + n % 4)).round(decimals=2)  # rounded: some are equal
    if settings.get("top_k") == 3:
        logits[[7, 21, 33]] = logits.max() - 0.25  # the third and the ones behind it are equal
    own = dict(settings)
    bias = own.pop("bias", None)
    config = GenerationConfig(do_sample=True, **{"top_k": 0, **own})
    if bias is not None:
        config.sequence_bias = [[[token], value] for token, value in bias.items()]
    ids = torch.tensor([PROMPT + ANSWER])
    processors = model._get_logits_processor(generation_config=config, input_ids_seq_length=ids.shape[1])
    probabilities = processors(ids, logits[None].clone()).softmax(-1)[0]
    cases.append(
        dict(
            settings=settings,
            logits=[round(z, 2) for z in logits.tolist()],
            probabilities=[round(p, 9) for p in probabilities.tolist()],
        )
    )

with open(sys.argv[1], "w") as file:
    json.dump(dict(prompt=PROMPT, answer=ANSWER, cases=cases), file)
    file.write("\n")
