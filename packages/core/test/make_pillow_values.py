"""Writes pillow_values.json: what Pillow makes of noise, for vision/resize.test.ts. Usage: make_pillow_values.py > pillow_values.json"""
import base64, hashlib, json
import PIL
from PIL import Image

FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}
# width, height, width and height of the result.
SMALL = [(23, 17, 9, 7), (7, 9, 20, 16), (31, 8, 12, 24), (9, 9, 9, 9), (1, 1, 5, 3), (1, 13, 4, 2), (13, 1, 2, 4), (9, 11, 9, 5), (9, 11, 4, 11),
         (2, 2, 1, 1), (3, 2, 32, 1), (40, 30, 1, 1), (5, 7, 6, 8), (64, 3, 3, 3)]
LARGE = [(336, 224, 48, 32), (210, 336, 224, 358), (500, 375, 298, 224), (101, 77, 384, 384), (32, 32, 224, 224), (1000, 3, 7, 224)]


def noise(width, height, hard):
    """The bytes that resize.test.ts makes: the upper bits of a generator; hard: 0 and 255 only."""
    state, out = width * 65536 + height, bytearray()
    for _ in range(3 * width * height):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((255 if state >> 31 else 0) if hard else state >> 24)
    return bytes(out)


def main():
    cases = []
    for sizes, is_small in ((SMALL, True), (LARGE, False)):
        for w, h, w2, h2 in sizes:
            for name, kind in FILTERS.items():
                for hard in (False, True):
                    image = Image.frombytes("RGB", (w, h), noise(w, h, hard))
                    data = image.resize((w2, h2), kind).tobytes()
                    kept = base64.b64encode(data).decode() if is_small and 3 * w2 * h2 <= 300 else hashlib.sha256(data).hexdigest()
                    cases.append([w, h, w2, h2, name, hard, kept])
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    print(f'{{\n  "pillow": "{PIL.__version__}",\n  "cases": [\n{lines}\n  ]\n}}')


if __name__ == "__main__":
    main()
