"""Writes pixel_values.json: what transformers' image processors (Pillow's pixels) make of noise, for vision/preprocess.test.ts."""
import base64, importlib, json
import numpy as np
import PIL, transformers
from PIL import Image
from make_pillow_values import noise

CASES = [
    ("clip", (23, 17), {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}),
    ("clip", (9, 30), {"size": {"shortest_edge": 12}, "crop_size": {"height": 7, "width": 6}, "resample": 2}),
    ("clip", (6, 4), {"size": {"shortest_edge": 4}, "crop_size": {"height": 8, "width": 8}}),
    ("vit", (23, 17), {"size": {"height": 8, "width": 8}}),
    ("vit", (5, 5), {"size": {"height": 6, "width": 9}, "resample": 3, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}),
    ("siglip", (31, 12), {"size": {"height": 7, "width": 7}, "do_normalize": False}),
    ("siglip", (8, 8), {"do_resize": False, "do_rescale": False, "do_normalize": False}),
    ("siglip", (8, 8), {"do_resize": False, "rescale_factor": 0.25}),
]

cases = []
for family, (w, h), keys in CASES:
    name = {"clip": "CLIP", "vit": "ViT", "siglip": "Siglip"}[family]
    module = importlib.import_module(f"transformers.models.{family}.image_processing_pil_{family}")
    processor = getattr(module, f"{name}ImageProcessorPil")(**keys)
    image = Image.frombytes("RGB", (w, h), noise(w, h, False))
    values = np.asarray(processor(image, return_tensors="np")["pixel_values"][0], dtype=np.float32)
    cases.append([family, w, h, keys, list(values.shape), base64.b64encode(values.tobytes()).decode()])
lines = ",\n".join("    " + json.dumps(case) for case in cases)
print(f'{{\n  "transformers": "{transformers.__version__}",\n  "pillow": "{PIL.__version__}",\n  "cases": [\n{lines}\n  ]\n}}')
