"""Writes pillow_decoded.json: digests of Pillow's pixels of the real images in shared/data. Usage: make_pillow_decoded.py DATA > pillow_decoded.json"""
import hashlib, json, os, sys
import PIL
from PIL import Image

DATA = sys.argv[1]
FOLDERS = ["coco-mini", "scienceqa-subset", "vit-cifar10/eval"]
SAMPLE = 37


def digest(path):
    image = Image.open(path).convert("RGB")
    return hashlib.sha256(f"{image.width} {image.height} ".encode() + image.tobytes()).hexdigest()


folders, sample = {}, {}
for folder in FOLDERS:
    paths = sorted(os.path.relpath(os.path.join(at, name), DATA).replace(os.sep, "/") for at, _, names in os.walk(f"{DATA}/{folder}")
                   for name in names if name.endswith((".jpg", ".png")))
    whole = hashlib.sha256()
    for i, path in enumerate(paths):
        own = digest(f"{DATA}/{path}")
        whole.update(f"{own}  {path}\n".encode())
        if i % SAMPLE == 0: sample[path] = own
    folders[folder] = {"images": len(paths), "sha256": whole.hexdigest()}
print(json.dumps({"pillow": PIL.__version__, "folders": folders, "sample": sample}, indent=1))
