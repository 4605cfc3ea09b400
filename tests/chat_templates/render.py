"""Renders chats by transformers' apply_chat_template: argv[1] is {tokenizer, templates, chats} as JSON, argv[2] what is written."""
import datetime
import json
import sys

from transformers import PreTrainedTokenizerFast

with open(sys.argv[1], encoding="utf8") as file:
    asked = json.load(file)
names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
tokenizer = PreTrainedTokenizerFast(tokenizer_file=asked["tokenizer"], **names)
day = datetime.datetime(2024, 7, 26)
found = []
for template in asked["templates"]:
    tokenizer.chat_template = template
    has_mask = "endgeneration" in template
    of_template = []
    for chat in asked["chats"]:
        same = {"tools": chat.get("tools"), "strftime_now": day.strftime}
        text = tokenizer.apply_chat_template(chat["messages"], tokenize=False, **same)
        question = tokenizer.apply_chat_template(
            chat["messages"][:-1], tokenize=False, add_generation_prompt=True, **same
        )
        encoded = tokenizer.apply_chat_template(
            chat["messages"], tokenize=True, return_dict=True, return_assistant_tokens_mask=has_mask, **same
        )
        of_template.append({"text": text, "question": question, "ids": encoded["input_ids"], "mask": encoded.get("assistant_masks")})
    found.append(of_template)
with open(sys.argv[2], "w", encoding="utf8") as file:
    json.dump(found, file)
