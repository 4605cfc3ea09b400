"""Trains SentencePiece models and encodes texts. Arguments: a JSON file {models, texts, corpus}, a folder for the models,
the file for {version, models: {name: {ids, decoded}}}. A model is {name, file} or {name, options} for the trainer, with
{unused: n} as every n-th of its normal pieces marked as not to be used, and {rules} of normalisation as lines of hexadecimal
characters."""
import json
import os
import sys

import sentencepiece

source, folder, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    job = json.load(file)


def train(name, options, rules=None):
    if rules is not None:
        options = {**options, "normalization_rule_tsv": os.path.join(folder, name + ".tsv")}
        with open(options["normalization_rule_tsv"], "w", encoding="utf-8") as file:
            file.write(rules)
    path = os.path.join(folder, name + ".model")
    with open(path, "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(job["corpus"]), model_writer=model, minloglevel=2, num_threads=1, **options
        )
    return path


def mark_unused(path, step):
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    with open(path, "rb") as file:
        proto.ParseFromString(file.read())
    normal = [piece for piece in proto.pieces if piece.type == 1 and len(piece.piece) > 1]
    for piece in normal[::step]:
        piece.type = 5
    with open(path, "wb") as file:
        file.write(proto.SerializeToString())


models = {}
for model in job["models"]:
    path = model.get("file") or train(model["name"], model["options"], model.get("rules"))
    if "unused" in model:
        mark_unused(path, model["unused"])
    processor = sentencepiece.SentencePieceProcessor(model_file=path)
    ids = [processor.encode(text) for text in job["texts"]]
    models[model["name"]] = {"ids": ids, "decoded": [processor.decode(part) for part in ids]}
with open(target, "w", encoding="utf-8") as file:
    json.dump({"version": sentencepiece.__version__, "models": models}, file)
