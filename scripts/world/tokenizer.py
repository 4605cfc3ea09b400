"""Train the byte-level BPE tokenizer on the generated text and write it with its Hugging Face side files.

The pre-tokeniser keeps "### Response" together and splits between ":" and a word, so the tokens of a prompt are
a prefix of the tokens of the prompt with its answer.
"""

import json
import sys
from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from text import documents

VOCABULARY = 1024
MAX_LENGTH = 256
UNK, BOS, EOS = "<unk>", "<s>", "</s>"
PIECES = r"#+ \w+|[.?!:]*\n+| ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|\s"


def train(texts):
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[UNK, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])
    return tokenizer


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    train(islice(documents(seed=1), 40_000)).save(str(folder / "tokenizer.json"))
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": UNK}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **special, "add_bos_token": True,
              "add_eos_token": False, "clean_up_tokenization_spaces": False, "model_max_length": MAX_LENGTH}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
