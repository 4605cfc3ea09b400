"""Loads adapters of one base with PEFT; fails where that warns or where their tensors differ. Arguments: base, adapters."""
import sys
import warnings

warnings.simplefilter("error")

import torch
from peft import PeftModel, get_peft_model_state_dict
from transformers import AutoModelForCausalLM

warnings.simplefilter("error")
base, *folders = sys.argv[1:]
states = []
for folder in folders:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    states.append(get_peft_model_state_dict(PeftModel.from_pretrained(model, folder)))
first = states[0]
if not first:
    sys.exit("no tensor of the adapter was loaded")
for state in states[1:]:
    if state.keys() != first.keys() or not all(torch.equal(state[name], first[name]) for name in first):
        sys.exit("the adapters differ")
