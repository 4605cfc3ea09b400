"""What transformers writes: argv[1] is {templates: [{chat, tokens}], chats} as JSON, argv[2] what is written.

Of each template and chat: the whole text, and the text up to each turn of the assistant with the beginning of an answer; or None for
what the template refuses. Of one with {% generation %} also what its mask says that the assistant says.
"""
import datetime
import json
import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

with open(sys.argv[1], encoding="utf8") as file:
    asked = json.load(file)
day = datetime.datetime(2024, 7, 26)
found = []
for template in asked["templates"]:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel()), **template["tokens"])

    def render(messages, chat, **options):
        try:
            return tokenizer.apply_chat_template(
                messages,
                chat_template=template["chat"],
                tokenize=False,
                tools=chat.get("tools"),
                strftime_now=day.strftime,
                **options,
            )
        except Exception:
            return None

    of_template = []
    for chat in asked["chats"]:
        messages = chat["messages"]
        fronts = [
            render(messages[:i], chat, add_generation_prompt=True)
            for i, message in enumerate(messages)
            if message["role"] == "assistant"
        ]
        written = {"text": render(messages, chat), "fronts": fronts}
        if "endgeneration" in template["chat"]:
            [text], [spans] = render_jinja_template(
                [messages],
                tools=chat.get("tools"),
                chat_template=template["chat"],
                return_assistant_tokens_mask=True,
                strftime_now=day.strftime,
                **template["tokens"],
            )
            written["trained"] = [text[begin:end] for begin, end in spans]
        of_template.append(written)
    found.append(of_template)
with open(sys.argv[2], "w", encoding="utf8") as file:
    json.dump(found, file)
