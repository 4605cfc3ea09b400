"""Encodes texts with tiktoken, as mistral-common's Tekkenizer calls it. Arguments: a JSON file {files, texts}, the file for
{name: ids}. A file is {name, path, expression} in tiktoken's form, or {name, path} of a tekken.json."""
import base64
import json
import sys

import tiktoken

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    job = json.load(file)
found = {}
for model in job["files"]:
    if "expression" in model:
        with open(model["path"], "rb") as file:
            lines = [line.split() for line in file.read().splitlines() if line]
        expression, first = model["expression"], 0
        ranks = {base64.b64decode(piece): int(rank) for piece, rank in lines}
    else:
        with open(model["path"], encoding="utf-8") as file:
            tekken = json.load(file)
        config = tekken["config"]
        expression, first = config["pattern"], config["default_num_special_tokens"]
        vocabulary = tekken["vocab"][: config["default_vocab_size"] - first]
        ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in vocabulary}
    encoding = tiktoken.Encoding(model["name"], pat_str=expression, mergeable_ranks=ranks, special_tokens={})
    found[model["name"]] = [[first + id for id in encoding.encode(text)] for text in job["texts"]]
with open(target, "w", encoding="utf-8") as file:
    json.dump(found, file)
