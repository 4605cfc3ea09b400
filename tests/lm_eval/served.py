"""The same as harness.py through a server, with the harness's own client of OpenAI's API.

    python served.py URL NAME MODEL FOLDER OUT.json '[{"task": "arc_easy", "limit": 200}, ...]'
"""

import json
import sys

import harness
from lm_eval.models.openai_completions import LocalCompletionsAPI

url, name, *rest = sys.argv[1:]


class WithBos(LocalCompletionsAPI):
    """With the server's own tokenizer. The harness puts no BOS in front then, as it does with a model of its own."""

    def tok_encode(self, string, **options):
        found = super().tok_encode(string, **options)
        bos = self.tokenizer.bos_token_id
        return [bos, *found] if isinstance(string, str) else [[bos, *one] for one in found]


# Nothing but the server's address and the name of the model is given.
harness.HFLM = lambda **_: WithBos(model=name, base_url=url + "/v1/completions", num_concurrent=4)
harness.main(*rest[:3], json.loads(rest[3]))
