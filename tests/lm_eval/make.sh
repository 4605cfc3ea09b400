#!/bin/sh
# Writes golden.json anew. ZEROGATE_PYTHON names a Python with lm_eval 0.4.13, torch and transformers.
set -eu
cd "$(dirname "$0")"
"${ZEROGATE_PYTHON:-python3}" harness.py ../../packages/trainer/world/base items golden.json "$(cat requests.json)"
