"""Prints the numbers of src/model/rope_angles.test.ts: inverse frequencies and attention factors as transformers computes
them. Run with any Python that has torch and transformers; the numbers in the test are from transformers 5.18, torch 2.13."""

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

LLAMA3 = dict(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=512)
CASES = [
    ("linear", dict(rope_type="linear", factor=4.0), None),
    ("dynamic, below the context", dict(rope_type="dynamic", factor=2.0), 100),
    ("dynamic, above the context", dict(rope_type="dynamic", factor=2.0), 3000),
    ("llama3", dict(rope_type="llama3", factor=8.0, **LLAMA3), None),
    ("yarn", YARN, None),
    ("yarn with mscale", dict(YARN, mscale=1.0, mscale_all_dim=0.707), None),
    ("yarn without truncation", dict(YARN, beta_fast=16.0, beta_slow=2.0, truncate=False), None),
]

for name, rope, length in CASES:
    config = LlamaConfig(
        hidden_size=64,
        num_attention_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        rope_parameters=dict(rope_theta=10000.0, **rope),
    )
    frequencies, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, "cpu", seq_len=length)
    print(f"{name}: {factor!r} [{', '.join(repr(f) for f in frequencies.tolist())}]")
