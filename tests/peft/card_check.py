"""Loads model cards with huggingface_hub, offline. Argument: a JSON file with their paths; prints what was read of each."""

import json
import sys

from huggingface_hub import ModelCard, ModelCardData, metadata_load
from huggingface_hub.utils import validate_repo_id

cards = []
for path in json.load(open(sys.argv[1])):
    metadata = metadata_load(path)
    card = ModelCard.load(path)
    again = ModelCardData(**metadata).to_dict()
    if metadata.get("base_model") is not None:
        validate_repo_id(metadata["base_model"])
    cards.append({"metadata": metadata, "again": again, "text": card.text})
json.dump(cards, open(sys.argv[1] + ".out", "w"))
