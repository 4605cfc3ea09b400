"""Trains a small byte-level BPE for each way of cutting texts, writes it into a GGUF file with the `gguf` package, and its ids.

    make.py OUT    OUT/NAME.gguf and OUT/ids.json: texts, and the ids of the library `tokenizers` for each file

The expressions are those of transformers (`integrations/gguf/gguf_tokenizer_mapping.py`); it made the files in this folder.
"""
import json
import os
import sys

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as SPLITS

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and it's 12345 times that we've seen it. They'll say: I'M HERE!",
    "Il était une fois une fée à l'école; Ångström naïve café. Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. 1234 5 67 890",
    "色は匂へど散りぬるを 我が世誰ぞ常ならむ。北京 상하이 مرحبا بالعالم नमस्ते दुनिया",
    "def f(x):\n    return x ** 2  # squares\n\n\nif __name__ == '__main__':\n\tprint(f(42))\r\n",
] * 4
TEXTS = [
    "", " ", "  ", "\n", " \n\n  x", "Hello, world!", "It's we'VE they'll I'M 'S", "12345678 3.14159 1,000", "caf\u00e9 cafe\u0301 \u212b",
    "Ångström naïve", "мягких французских", "色は匂へど 散りぬるを", "مرحبا", "नमस्ते दुनिया", "👍🏽 👨‍👩‍👧 🇩🇪", "tab\there  two   three",
    "a<|endoftext|>b", "<|im_start|>user\nHi<|im_end|>\n", "x <think> y</think>", "trailing  ", "\t\tdef f():\n\treturn  1\r\n\r\n",
    "CamelCaseWord HTTPServer", "ſharp Kelvin \u212a", "under_score/slash\\back", "é" * 5, "the the the", "\u00a0nbsp\u2003em",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def tokenizer(pre):
    ignores = pre in ("llama-bpe", "tekken")
    made = Tokenizer(models.BPE(ignore_merges=ignores))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre not in SPLITS)
    if pre in SPLITS:
        steps = [pre_tokenizers.Split(Regex(SPLITS[pre]), behavior="isolated"), byte_level]
    else:
        steps = [byte_level] if pre == "gpt-2" else [pre_tokenizers.Digits(individual_digits=True), byte_level]
    made.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if pre == "qwen2":
        made.normalizer = normalizers.NFC()
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=360, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    if ignores:
        end = made.token_to_id(SPECIAL[0])
        made.post_processor = processors.TemplateProcessing(single=f"{SPECIAL[0]} $A", special_tokens=[(SPECIAL[0], end)])
    return made


def write(made, pre, path):
    state = json.loads(made.to_str())
    vocab = made.get_vocab()
    tokens = sorted(vocab, key=vocab.get)
    kinds = {token: gguf.TokenType.CONTROL for token in SPECIAL} | {"<think>": gguf.TokenType.USER_DEFINED}
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([*tokens, "[PAD999]"])
    writer.add_token_types([*(kinds.get(token, gguf.TokenType.NORMAL) for token in tokens), gguf.TokenType.UNUSED])
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    writer.add_bos_token_id(vocab[SPECIAL[0]])
    writer.add_eos_token_id(vocab[SPECIAL[2]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    out = sys.argv[1]
    ids = {}
    for pre in ["gpt-2", "llama-bpe", "qwen2", "smollm", "tekken"]:
        made = tokenizer(pre)
        write(made, pre, os.path.join(out, f"{pre}.gguf"))
        ids[pre] = [made.encode(text).ids for text in TEXTS]
    with open(os.path.join(out, "ids.json"), "w") as file:
        json.dump({"texts": TEXTS, "ids": ids}, file)
        file.write("\n")
