"""Encodes texts with the tokenizers library. Arguments: a JSON file {tokenizers, texts}, the file for {version, ids}."""
import json
import sys

import tokenizers

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    job = json.load(file)
ids = []
for content in job["tokenizers"]:
    tokenizer = tokenizers.Tokenizer.from_str(content)
    ids.append([[tokenizer.encode(text, add_special_tokens=add).ids for add in (True, False)] for text in job["texts"]])
with open(target, "w", encoding="utf-8") as file:
    json.dump({"version": tokenizers.__version__, "ids": ids}, file)
