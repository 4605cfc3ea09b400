import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { configKeys } from "./fields.ts";
import { resolveConfig } from "./resolve.ts";
import { suggest } from "./suggest.ts";
import { flagSpellings } from "./synonyms.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-synonyms-"));
const needed = { model: "base", data: ["a.json"], out: "run" };

/** The config of a file, with its notes. */
function resolved(yaml: string) {
  const file = join(folder, "run.yaml");
  writeFileSync(file, yaml);
  const notes: string[] = [];
  const config = resolveConfig({ file, flags: needed, onNote: (note) => notes.push(note.replace(file, "run.yaml")) });
  return { config, notes };
}

test.each([
  ["learning_rate: 1e-3", { lr: 1e-3 }, "learning_rate (run.yaml, line 1) is taken as lr"],
  ["num_train_epochs: 2", { epochs: 2 }, "num_train_epochs (run.yaml, line 1) is taken as epochs"],
  ["max_steps: 5", { steps: 5 }, "max_steps (run.yaml, line 1) is taken as steps"],
  ["batch_size: 4", { batchSize: 4 }, "batch_size (run.yaml, line 1) is taken as batchSize"],
  ["gpu_ids: 0,1", { devices: [0, 1] }, "gpu_ids (run.yaml, line 1) is taken as devices"],
  [
    "eval_file: b.json",
    { validationData: [join(folder, "b.json")] },
    "eval_file (run.yaml, line 1) is taken as validationData",
  ],
  ["LR: 1", { lr: 1 }, "LR (run.yaml, line 1) is taken as lr"],
])("a config file may say %s [T-D7]", (yaml, expected, note) => {
  const { config, notes } = resolved(yaml);
  expect(config).toMatchObject(expected);
  expect(notes).toEqual([note]);
});

test.each([
  [
    "per_device_train_batch_size: 4",
    "per_device_train_batch_size (FILE, line 1) is no key: batchSize counts the records of one step over all workers",
  ],
  ["gpus: 2", "gpus (FILE, line 1) is no key: give engine cuda, and devices for the numbers of the GPUs"],
  ["fp16: true", "fp16 (FILE, line 1) is no key: there is no arithmetic in f16: compute is f32 or bf16"],
  ["lr: 1\nlearning_rate: 2", "learning_rate (FILE, line 2) means lr, which lr (FILE, line 1) gives: leave one out"],
  [
    "learning_rate: 2\nLearningRate: 2",
    "LearningRate (FILE, line 2) means lr, which learning_rate (FILE, line 1) gives: leave one out",
  ],
  ["lerning_rate: 2", 'unknown key "lerning_rate": did you mean "lr"? (FILE, line 1)'],
  ["learning_rate: fast", 'learning_rate (FILE, line 1) is "fast", expected a number above 0'],
])("a config file that says %s is refused [T-D7]", (yaml, says) => {
  const file = join(folder, "run.yaml");
  expect(() => resolved(yaml)).toThrow(says.replaceAll("FILE", file));
});

test("a run's own config holds our names only: another one is damage [T-D7]", () => {
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify({ zerogate: "0.2.0", learning_rate: 1 }));
  expect(() => resolveConfig({ file, flags: needed, isStored: true })).toThrow('unknown key "learning_rate"');
});

test("a misspelt name of elsewhere leads to the key, one that means something else does not", () => {
  expect(suggest("lernin_rate", configKeys)).toBe("lr");
  expect(suggest("outputdirr", configKeys)).toBe("out");
  expect(suggest("per_device_train_batch_sizes", configKeys)).toBeUndefined();
});

test("flags are known with dashes, underscores and capitals", () => {
  expect(flagSpellings("max_seq_length")).toEqual(["--max-seq-length", "--max_seq_length", "--maxSeqLength"]);
  expect(flagSpellings("batchSize")).toEqual(["--batch-size", "--batch_size", "--batchSize"]);
  expect(flagSpellings("lr")).toEqual(["--lr"]);
});
