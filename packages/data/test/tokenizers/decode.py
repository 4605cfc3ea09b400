"""Decodes ids with the tokenizers library. Arguments: a JSON file {tokenizers, ids}, the file for {version, texts}."""
import json
import sys

import tokenizers

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    job = json.load(file)
texts = []
for content, lists in zip(job["tokenizers"], job["ids"]):
    tokenizer = tokenizers.Tokenizer.from_str(content)
    texts.append([tokenizer.decode(ids, skip_special_tokens=False) for ids in lists])
with open(target, "w", encoding="utf-8") as file:
    json.dump({"version": tokenizers.__version__, "texts": texts}, file)
