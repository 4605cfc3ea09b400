"""Write train.json and heldout.json: Alpaca records about the valley.

A case (a fact, a word, a list …) that is held out occurs in no phrasing in train.json.
"""

import json
import random
import sys
from pathlib import Path

from tasks import draw_record

TRAIN_RECORDS, HELD_OUT_RECORDS = 2400, 256


def collect(rng, count, held_out):
    """`count` records of one side of the split, no (instruction, input) twice."""
    records = {}
    while len(records) < count:
        record = draw_record(rng)
        if record.held_out() == held_out:
            records[record.instruction, record.input] = record
    return list(records.values())


def write(path, records):
    """A JSON array with one record a line."""
    rows = (json.dumps({"instruction": r.instruction, "input": r.input, "output": r.output}) for r in records)
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n")


def main(folder):
    rng = random.Random(11)
    write(folder / "train.json", collect(rng, TRAIN_RECORDS, held_out=False))
    write(folder / "heldout.json", collect(rng, HELD_OUT_RECORDS, held_out=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
