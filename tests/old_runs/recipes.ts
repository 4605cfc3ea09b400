/**
 * The runs that every released version leaves behind as fixtures, `VERSION/NAME`, and the bases and data that they were
 * trained on. The small bases are made again from code; `verify` compares their hash with the run's own.
 */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withPoisonedToken } from "../support/hostile_model.ts";
import { writeTinyBase } from "../support/tiny_base.ts";
import { base, records } from "../support/world.ts";

export interface Recipe {
  readonly name: string;
  /** Folder of the base below the one that `writeInputs` fills. */
  readonly model: "base" | "poisoned" | "tiny-gpt2";
  readonly flags: Readonly<Record<string, string>>;
  /** Steps after which Ctrl-C stops the fixture; undefined: it is finished. */
  readonly stopAfter?: number;
}

/** A token of one record of the data only: its embedding is infinite in the base `poisoned`. */
const POISON = 437;

/** An epoch has 8 steps. */
const common = {
  "--engine": "reference",
  "--workers": "2",
  "--data": "data.json",
  "--val-fraction": "0.1",
  "--seed": "7",
  "--steps": "14",
  "--batch-size": "8",
  "--max-length": "128",
  "--cell-tokens": "128",
  "--adapter-len": "4",
  "--adapter-layers": "2",
  "--save-every": "4",
  "--keep-checkpoints": "1",
  "--samples": "1",
};

export const recipes: readonly Recipe[] = [
  { name: "finished", model: "base", flags: { ...common, "--steps": "6" } },
  { name: "stopped", model: "base", flags: common, stopAfter: 5 },
  { name: "skipped", model: "poisoned", flags: { ...common, "--on-bad-numbers": "skip" }, stopAfter: 9 },
  {
    name: "per-head-tanh",
    model: "base",
    flags: { ...common, "--gate-sharing": "per-head", "--gate-activation": "tanh", "--preset": "paper" },
    stopAfter: 3,
  },
  { name: "gpt2", model: "tiny-gpt2", flags: { ...common, "--max-length": "96", "--adapter-len": "3" }, stopAfter: 10 },
];

/** Writes the bases and `data.json` into `folder`. */
export function writeInputs(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "data.json"), JSON.stringify(records("train.json", 64)));
  cpSync(base, join(folder, "base"), { recursive: true });
  cpSync(base, join(folder, "poisoned"), { recursive: true });
  withPoisonedToken(join(folder, "poisoned"), POISON);
  writeTinyBase(join(folder, "tiny-gpt2"), "gpt2");
}
