"""Features of a CLIP tower by transformers on the CPU.

    python tower.py '{"tower", "pixels", "images", "threads", "hidden"}'

Prints a JSON line with its versions and a file of the class tokens of the hidden states; then, for each batch size that it reads
from stdin, one with the seconds that all images took.
"""
import json
import sys
import time

import numpy
import torch
import transformers
from transformers import CLIPVisionModelWithProjection

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
model = CLIPVisionModelWithProjection.from_pretrained(job["tower"], dtype=torch.float32).eval()
pixels = torch.from_numpy(numpy.fromfile(job["pixels"], dtype=numpy.float32).reshape(job["images"], 3, 224, 224))


@torch.inference_mode()
def features(batch):
    rows = []
    for part in pixels.split(batch):
        states = model(pixel_values=part, output_hidden_states=True).hidden_states
        rows.append(torch.cat([states[i][:, 0] for i in job["hidden"]], dim=1))
    return torch.cat(rows)


path = job["pixels"] + ".features"
features(8).numpy().tofile(path)
versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
print(json.dumps({"features": path, "versions": versions}), flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    features(int(line))
    print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)
