"""Writes tower_values.json: what transformers' towers compute with weights of noise, for vision/tower/tower.test.ts."""
import base64, json, math, os, tempfile
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, SiglipVisionConfig, SiglipVisionModel, ViTConfig, ViTModel

SIDE = 12
COMMON = dict(image_size=SIDE, patch_size=4, num_hidden_layers=3)
CASES = {
    "clip d 12": (CLIPVisionModelWithProjection, CLIPVisionConfig(hidden_size=24, intermediate_size=40, num_attention_heads=2, projection_dim=16, **COMMON)),
    "clip gelu d 64": (CLIPVisionModelWithProjection, CLIPVisionConfig(hidden_size=64, intermediate_size=48, num_attention_heads=1, projection_dim=8, hidden_act="gelu", **COMMON)),
    "vit d 72": (ViTModel, ViTConfig(hidden_size=72, intermediate_size=40, num_attention_heads=1, qkv_bias=False, **COMMON)),
    "vit d 5": (ViTModel, ViTConfig(hidden_size=15, intermediate_size=21, num_attention_heads=3, hidden_act="gelu_new", **COMMON)),
    "siglip d 12": (SiglipVisionModel, SiglipVisionConfig(hidden_size=24, intermediate_size=40, num_attention_heads=2, **COMMON)),
}


def numbers(text, count):
    """As test/noise_tower.ts: bytes of a generator that begins with the sum of the text's codes, between -1 and 1."""
    state, out = sum(ord(c) * (i + 1) for i, c in enumerate(text)), []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(((state >> 24) - 128) / 128)
    return torch.tensor(out, dtype=torch.float32)


def weight(name, shape):
    values = numbers(name, math.prod(shape)).reshape(shape)
    scale = 0.5 if len(shape) > 1 and "position" not in name else 0.25
    return values * scale + (1.0 if "norm" in name and name.endswith(".weight") else 0.0)


def plain(name): return name.removeprefix("vision_model.")
def packed(t): return base64.b64encode(t.detach().contiguous().numpy().astype("<f4").tobytes()).decode()


pixels = torch.stack([numbers(f"image {i}", 3 * SIDE * SIDE).reshape(3, SIDE, SIDE) for i in range(2)])
cases = {}
for title, (Model, config) in CASES.items():
    extra = {"add_pooling_layer": False} if Model is ViTModel else {}
    with tempfile.TemporaryDirectory() as folder:
        Model(config, **extra).save_pretrained(folder)
        path = f"{folder}/model.safetensors"
        tensors = {k: weight(plain(k), tuple(v.shape)) for k, v in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
        model = Model.from_pretrained(folder, **extra).eval()
        stated = json.load(open(f"{folder}/config.json"))
    with torch.no_grad():
        out = model(pixel_values=pixels, output_hidden_states=True)
    found = {f"tokens@{i}": packed(h) for i, h in enumerate(out.hidden_states) if i in (0, 3)}
    if Model is CLIPVisionModelWithProjection: found["embeds"] = packed(out.image_embeds)
    if Model is ViTModel: found["pooled"] = packed(out.last_hidden_state[:, 0])
    if Model is SiglipVisionModel: found["pooled"] = packed(out.pooler_output)
    cases[title] = dict(config=stated, names=sorted(plain(k) for k in tensors), values=found)
print(json.dumps(dict(transformers=transformers.__version__, side=SIDE, cases=cases), indent=1))
