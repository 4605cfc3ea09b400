import { configKeys, squash, synonymOf, synonyms } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { run } from "../../test/run_cli.ts";
import { sections } from "../commands/list.ts";

/** What a command line is answered with; nothing that it names is there. */
const says = async (...argv: string[]) => (await run(...argv)).stderr.trimEnd();

test("flags are taken under the names of other programs, with a word, in every spelling [T-D7]", async () => {
  const text = await says(
    "train",
    ..."--model_name_or_path nowhere --dataset=a.json --output-dir run".split(" "),
    ..."--learning-rate fast --num_train_epochs 3.5.1 --maxSeqLength one".split(" "),
  );
  expect(text.split("\n")).toEqual([
    "--model_name_or_path is taken as --model",
    "--dataset is taken as --data",
    "--output-dir is taken as --out",
    "--learning-rate is taken as --lr",
    "--num_train_epochs is taken as --epochs",
    "--maxSeqLength is taken as --max-length",
    "Cannot use this configuration:",
    expect.stringMatching(/- --max-length is "one", expected a whole number/),
    expect.stringMatching(/- --epochs is "3\.5\.1", expected /),
    expect.stringMatching(/- --lr is "fast", expected a number above 0/),
  ]);
});

test("a required flag may come under another name, a list too [T-D7]", async () => {
  const text = await says("eval", "--base_model", "nowhere", "--test-file", "a.json", "b.json");
  expect(text).toContain("--base_model is taken as --model\n--test-file is taken as --data\n");
  expect(text).toContain("nowhere");
  expect(text).not.toContain("is missing");
});

test.each([
  [
    ["train", "--gpus", "2"],
    "there is no flag --gpus: give --engine cuda, and --devices for the numbers of the GPUs (0,1) or --workers for how many",
  ],
  [["train", "--per-device-train-batch-size=4"], "there is no flag --per-device-train-batch-size: --batch-size counts"],
  [["train", "--bf16"], "there is no flag --bf16: give --compute bf16"],
  [["train", "--bf16", "true", "--fp16"], "there is no flag --fp16: there is no arithmetic in f16"],
  [["generate", "--max-length", "20"], "there is no flag --max-length: --max-new-tokens counts the answer alone"],
  [["train", "--lr", "1", "--learning-rate", "2"], "--learning-rate and --lr mean the same: leave one out"],
  [
    ["train", "--learning_rate", "2", "--batch-size", "1", "--batch_size", "2"],
    "--batch_size and --batch-size mean the same",
  ],
  [["train", "--lerning-rate", "2"], "there is no flag --lerning-rate, did you mean --lr?"],
  [["doctor", "--gpus"], "there is no flag --gpus (zerogate doctor --help lists all flags)"],
] as const)("%j is refused [T-D7]", async (argv, text) => {
  const { code, stdout, stderr } = await run(...argv);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(text);
  expect(stderr).not.toContain("is taken as");
});

test("every name of the table leads to a key of ours, and is none itself if it is used [T-D7]", async () => {
  const commands = sections.flatMap((section) =>
    section.commands.flatMap((entry) => ("commands" in entry ? entry.commands : [entry])),
  );
  const tables = await Promise.all(commands.map(async ({ load }) => Object.keys((await load()).definition.flags)));
  for (const name of synonyms) {
    const found = [configKeys, ...tables].map((keys) => synonymOf(name, keys, (key) => `<${key}>`));
    expect(
      found.some((meant) => meant !== undefined),
      name,
    ).toBe(true);
    for (const meant of found) expect(meant && "instead" in meant ? meant.instead : "", name).not.toMatch(/[{}]/);
  }
  const everyKey = new Set(tables.flat());
  const named = synonyms.flatMap((name) => {
    const meant = synonymOf(
      name,
      [...everyKey].filter((key) => squash(key) !== squash(name)),
      (key) => `<${key}>`,
    );
    return meant && "instead" in meant ? [...meant.instead.matchAll(/<(\w+)>/g)].map(([, key]) => key) : [];
  });
  for (const key of named) expect(everyKey).toContain(key);
  expect(configKeys.filter((key) => synonyms.some((name) => squash(name) === squash(key)))).toEqual(["maxLength"]);
});
