/**
 * Input that `train` cannot use: exit code 2, one message that says what was attempted, what was found and what is needed, nothing on
 * stdout, no run folder.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { withoutShard, withTensor } from "./support/hostile_model.ts";
import { base, tinyRun } from "./support/world.ts";

const folder = testFolder();
const at = (...path: string[]) => join(folder, ...path);

interface Case {
  readonly what: string;
  /** Makes the bad thing and returns the flags that lead to it. */
  readonly make: () => Readonly<Record<string, string>>;
  readonly says: readonly (string | RegExp)[];
}

const given = (flags: Readonly<Record<string, string>>) => () => flags;

function write(name: string, text: string): string {
  writeFileSync(at(name), text);
  return name;
}

let models = 0;
/** A copy of the base that `spoil` makes unusable. */
function model(spoil: (folder: string) => void): Case["make"] {
  return () => {
    const copy = at(`model-${models++}`);
    cpSync(base, copy, { recursive: true });
    spoil(copy);
    return { "--model": copy };
  };
}

const config = (change: Readonly<Record<string, unknown>>) =>
  model((copy) => {
    const path = join(copy, "config.json");
    const before = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...before, ...change }));
  });

const broken: Readonly<Record<string, readonly Case[]>> = {
  "a model": [
    {
      what: "that does not exist",
      make: given({ "--model": "nowhere" }),
      says: ["nowhere: there is no such folder"],
    },
    {
      what: "without weights",
      make: model((copy) => rmSync(join(copy, "model.safetensors"))),
      says: ["there is neither model.safetensors nor pytorch_model.bin, nor an index of shards"],
    },
    {
      what: "whose weights were cut off",
      make: model((copy) => truncateSync(join(copy, "model.safetensors"), 1_000_000)),
      says: [
        /its tensors end at byte \d+ \(.* MB\), the file at byte 1000000 \(1.0 MB\): the file was cut off, download or copy it again/,
      ],
    },
    {
      what: "whose header was cut off",
      make: model((copy) => truncateSync(join(copy, "model.safetensors"), 100)),
      says: [/its header claims \d+ bytes, 92 follow: the file was cut off, download or copy it again/],
    },
    {
      what: "with a missing shard",
      make: model(withoutShard),
      says: [
        "model.safetensors.index.json",
        '"model-00002-of-00002.safetensors", which is not there: fetch the missing shard',
      ],
    },
    {
      what: "with I32 weights",
      make: model((copy) => withTensor(copy, "model.norm.weight", "I32")),
      says: [`model.norm.weight`, `is I32 [128], config.json needs F32, F16 or BF16 [128]: use the files of one model`],
    },
    {
      what: "with fewer layers than its config says",
      make: config({ num_hidden_layers: 7 }),
      says: ["model.layers.6.mlp.down_proj.weight is in no weight file", "fetch the model again"],
    },
    {
      what: "of an unknown architecture",
      make: config({ model_type: "falcon", architectures: ["FalconForCausalLM"] }),
      says: ['model_type is "falcon", which has keys and values shared by all heads', "supported are llama, m"],
    },
    {
      what: "whose vocabulary is smaller than its tokenizer's",
      make: config({ vocab_size: 512 }),
      says: ["a tokenizer that does not match the vocabulary", "has 512: use the tokenizer of this model"],
    },
    {
      what: "without a tokenizer",
      make: model((copy) => rmSync(join(copy, "tokenizer.json"))),
      says: ["tokenizer.json"],
    },
    {
      what: "whose config is no JSON",
      make: model((copy) => writeFileSync(join(copy, "config.json"), "{")),
      says: ["config.json: it ends after 1 bytes in the middle"],
    },
  ],
  data: [
    {
      what: "that does not exist",
      make: given({ "--data": "nowhere.json" }),
      says: ["Cannot read the data", "nowhere.json"],
    },
    {
      what: "that is empty",
      make: () => ({ "--data": write("empty.json", "") }),
      says: ["no usable record, at least 1 is needed"],
    },
    {
      what: "that is an empty list",
      make: () => ({ "--data": write("list.json", "[]") }),
      says: ["no usable record, at least 1 is needed"],
    },
    {
      what: "with a record that has no output",
      make: () => ({ "--data": write("no_output.json", '[{"instruction":"a","output":"b"},{"instruction":"c"}]') }),
      says: ['no_output.json, record 1, field "output": found nothing, expected a text'],
    },
    {
      what: "with a line that is no JSON",
      make: () => ({ "--data": write("bad.jsonl", '{"instruction":"a","output":"b"}\nhello\n') }),
      says: ['bad.jsonl, line 2: found "hello", which is not JSON'],
    },
    {
      what: "to validate on that is empty",
      make: () => ({ "--validation-data": write("held_empty.json", "[]") }),
      says: ["held_empty.json: no usable record"],
    },
  ],
  "a setting": [
    ...["0", "-1", "1.5", "many"].map((layers) => ({
      what: `--adapter-layers ${layers}`,
      make: given({ "--adapter-layers": layers }),
      says: [`--adapter-layers is ${layers === "many" ? '"many"' : layers}, expected a whole number of at least 1`],
    })),
    {
      what: "--adapter-layers 7 of 6",
      make: given({ "--adapter-layers": "7" }),
      says: ["adapter_layers is 7, the model has 6 layers: use 1 to 6"],
    },
    {
      what: "several wrong ones, reported at once",
      make: given({ "--lr": "fast", "--batch-size": "0", "--steps": "-3" }),
      says: ['--lr is "fast"', "--batch-size is 0", "--steps is -3"],
    },
    {
      what: "a length that the model has no room for",
      make: given({ "--max-length": "9999" }),
      says: ["maxLength is 9999, the model's context is 256 tokens: use at most that"],
    },
    {
      what: "an unknown engine",
      make: given({ "--engine": "abacus" }),
      says: [/--engine is "abacus", expected one of .*reference/],
    },
    {
      what: "an unknown template",
      make: given({ "--template": "nope" }),
      says: ["Cannot use the template", '"alpaca"', '"plain"'],
    },
    {
      what: "a misspelt flag",
      make: given({ "--adapter-layer": "3" }),
      says: ["there is no flag --adapter-layer, did you mean --adapter-layers?"],
    },
    {
      what: "a misspelt key of a config file",
      make: () => ({ "--config": write("misspelt.yaml", "lr: 0.1\nbatchsise: 3\n") }),
      says: ['unknown key "batchsise": did you mean "batchSize"?', "misspelt.yaml, line 2"],
    },
    {
      what: "a config file that is not there",
      make: given({ "--config": "nope.yaml" }),
      says: ["Cannot read the config nope.yaml: there is no such file"],
    },
    {
      what: "a config file that is no YAML",
      make: () => ({ "--config": write("bad.yaml", "a: [1\n") }),
      says: ["Cannot read the config bad.yaml", "line"],
    },
    {
      what: "an adapter to start from that does not exist",
      make: given({ "--init-adapter": "nope" }),
      says: [/Cannot use the adapter \S*nope: there is no such file or folder/],
    },
  ],
};

let runs = 0;

describe.each(Object.entries(broken))("train refuses %s", (_, cases) => {
  test.each(cases)("$what", async ({ make, says }) => {
    const out = `out-${runs++}`;
    const refused = await zerogateHere(["train", ...tinyRun(folder, make()), "--out", out, "--json"], { cwd: folder });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    for (const part of says) expect(refused.stderr).toMatch(part);
    expect(refused.stderr).not.toMatch(/\n {4}at /); // a stack is for bugs
    expect(existsSync(at(out))).toBe(false);
  });
});

test("train says all that is missing at once", async () => {
  const refused = await zerogateHere(["train"], { cwd: folder });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  for (const key of ["model", "data", "out"]) expect(refused.stderr).toMatch(new RegExp(`${key} is missing.*--${key}`));
});

test("train does not touch a folder that is in use", async () => {
  mkdirSync(at("mine"));
  writeFileSync(at("mine", "diary.txt"), "");
  const refused = await zerogateHere(["train", ...tinyRun(folder), "--out", "mine"], { cwd: folder });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("mine as run directory: it is not empty: choose another folder");
  expect(readdirSync(at("mine"))).toEqual(["diary.txt"]);
  const file = await zerogateHere(["train", ...tinyRun(folder), "--out", "data.json"], { cwd: folder });
  expect(file).toMatchObject({ code: 2, stdout: "" });
  expect(file.stderr).toContain("data.json is a file: choose another");
});
