import { mkdtempSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { configKeys } from "./fields.ts";
import { unsafeChanges } from "./identity.ts";
import { peakLearningRate, resolveConfig } from "./resolve.ts";
import type { TrainConfig } from "./train_config.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-config-"));
const needed = { model: "base", data: ["records.json"], out: "run" };

function configFile(text: string, name = "run.yaml"): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function problemsOf(work: () => TrainConfig): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error.problems.map((problem) => problem.replaceAll(folder, ""));
    throw error;
  }
  return [];
}

test("defaults fill what is not given, and flags are paths from the working directory", () => {
  const config = resolveConfig({ flags: needed });
  expect(config).toMatchObject({ batchSize: 32, lr: 5e-3, epochs: 3, warmupRatio: 0.03, schedule: "cosine" });
  expect(config.model).toBe(resolve("base"));
  expect(config.data).toEqual([resolve("records.json")]);
  expect(config.workers).toBe(availableParallelism());
  expect(config.steps).toBeUndefined();
});

test("defaults < preset < file < flags", () => {
  const file = configFile("preset: paper\nbatchSize: 64\nweightDecay: 0.5\nseed: 3\n");
  const config = resolveConfig({ file, flags: { ...needed, seed: "4" } });
  expect(config).toMatchObject({
    preset: "paper",
    beta2: 0.95,
    batchSize: 64,
    weightDecay: 0.5,
    seed: 4,
    reportAnswers: 8,
  });
});

test("a preset named by the caller wins over one in the file", () => {
  const file = configFile("preset: paper\n");
  expect(resolveConfig({ file, flags: needed, preset: "peft" })).toMatchObject({ preset: "peft", beta2: 0.999 });
});

test("the paper preset gives the authors' peak learning rate, 1.125e-3 at batch 32, and its gate loads in PEFT", () => {
  const config = resolveConfig({ flags: needed, preset: "paper" });
  expect(peakLearningRate(config)).toBeCloseTo(1.125e-3, 12);
  expect(config).toMatchObject({
    gateSharing: "scalar",
    gateActivation: "none",
    warmupEpochs: 2,
    epochs: 5,
    cellMultiple: 8,
  });
  expect([config.lr, config.warmupRatio, config.warmupSteps]).toEqual([undefined, undefined, undefined]);
});

test("of alternative keys the later source wins, and within one source steps wins over epochs", () => {
  const file = configFile("steps: 100\nblr: 0.009\n");
  expect(resolveConfig({ file, flags: { ...needed, epochs: "2", lr: "1e-3" } })).toMatchObject({ epochs: 2, lr: 1e-3 });
  const both = resolveConfig({ flags: { ...needed, steps: "7", epochs: "2" } });
  expect([both.steps, both.epochs]).toEqual([7, undefined]);
});

test("paths in a config file start at the file's folder, built-in templates are no paths", () => {
  const file = configFile("model: base\ndata: a.json\nout: ./runs/1\nvalidationData: [b.json, /c.json]\n");
  const config = resolveConfig({ file });
  expect(config.model).toBe(join(folder, "base"));
  expect(config.data).toEqual([join(folder, "a.json")]);
  expect(config.validationData).toEqual([join(folder, "b.json"), "/c.json"]);
  expect(config.template).toBe("alpaca");
  expect(resolveConfig({ file, flags: { template: "mine.txt" } }).template).toBe(resolve("mine.txt"));
});

test("text of flags becomes numbers and booleans, a path that looks like a number stays text", () => {
  const config = resolveConfig({
    flags: { ...needed, model: "7", dropLast: "true", lr: "5e-3", skipBadRecords: true },
  });
  expect(config).toMatchObject({ dropLast: true, lr: 0.005, skipBadRecords: true, model: resolve("7") });
});

test("a stored config resolves to itself", () => {
  const config = resolveConfig({ flags: needed, preset: "paper" });
  const file = configFile(JSON.stringify(config, undefined, 2), "config.json");
  expect(resolveConfig({ file })).toEqual(config);
});

test("all problems are reported at once, in the words of where they come from", () => {
  const file = configFile(
    "bacth-size: 4\nbatchSize: many\nlearningRat: 1\nzzzzzz: 1\nvalFraction: 1\n\nschedule: cosin\n",
  );
  const problems = problemsOf(() =>
    resolveConfig({ file, flags: { data: ["x.json"], out: "run", workers: "0", lr: "fast", engin: "reference" } }),
  );
  expect(problems).toMatchInlineSnapshot(`
    [
      "unknown key "bacth-size": did you mean "batchSize"? (/run.yaml, line 1)",
      "unknown key "learningRat": did you mean "lr"? (/run.yaml, line 3)",
      "unknown key "zzzzzz" (/run.yaml, line 4)",
      "unknown key "engin": did you mean "engine"?",
      "model is missing, expected the folder of a model: give --model or put it in the config file",
      "valFraction (/run.yaml, line 5) is 1, expected a number from 0 to below 1",
      "batchSize (/run.yaml, line 2) is "many", expected a whole number of at least 1 and at most 2147483647",
      "--lr is "fast", expected a number above 0",
      "schedule (/run.yaml, line 7) is "cosin", expected one of cosine, linear, constant",
      "--workers is 0, expected a whole number of at least 1 and at most 4096",
    ]
  `);
});

test("an unknown preset is reported with the known ones", () => {
  expect(problemsOf(() => resolveConfig({ flags: needed, preset: "papper" }))).toMatchInlineSnapshot(`
    [
      "--preset is "papper", expected one of paper, peft, quick, scienceqa, captions",
    ]
  `);
  expect(problemsOf(() => resolveConfig({ flags: { ...needed, preset: "papper" } }))).toMatchInlineSnapshot(`
    [
      "--preset is "papper", expected one of paper, peft, quick, scienceqa, captions",
    ]
  `);
});

test("keys that contradict each other are reported", () => {
  const flags = { ...needed, valFraction: 0, earlyStopping: 3, minLr: 1, steps: 10, warmupSteps: 11 };
  expect(problemsOf(() => resolveConfig({ flags }))).toMatchInlineSnapshot(`
    [
      "minLr is 1, expected at most the peak learning rate 0.005",
      "earlyStopping needs validation, but valFraction is 0 and validationData is not set",
      "warmupSteps is 11, expected at most steps, 10",
    ]
  `);
});

test("a warm-up that an earlier source gave for a longer run is no contradiction, one of the same or a later source is [T-D5]", () => {
  const long = configFile("steps: 100\nwarmupSteps: 50\n", "long.yaml");
  expect(resolveConfig({ file: long, flags: { ...needed, steps: "3" } })).toMatchObject({ steps: 3, warmupSteps: 50 });
  expect(resolveConfig({ flags: { ...needed, steps: "3" }, preset: "quick" })).toMatchObject({ warmupSteps: 5 });
  expect(resolveConfig({ flags: { ...needed, epochs: "1" }, preset: "paper" })).toMatchObject({ warmupEpochs: 2 });
  const later = problemsOf(() => resolveConfig({ file: long, flags: { ...needed, warmupSteps: "101" } }));
  expect(later).toEqual(["warmupSteps is 101, expected at most steps, 100"]);
  const same = problemsOf(() => resolveConfig({ flags: { ...needed, epochs: "0.5", warmupEpochs: "1" } }));
  expect(same).toEqual(["warmupEpochs is 1, expected at most epochs, 0.5"]);
  const stored = { file: long, isStored: true, flags: { ...needed, steps: "3" } };
  expect(problemsOf(() => resolveConfig(stored))).toEqual(["warmupSteps is 50, expected at most steps, 3"]);
});

test("epochs may be fractional, steps may not [T-D11]", () => {
  expect(resolveConfig({ flags: { ...needed, epochs: "0.5" } }).epochs).toBe(0.5);
  expect(problemsOf(() => resolveConfig({ flags: { ...needed, epochs: "0" } }))).toEqual([
    "--epochs is 0, expected a number above 0 and at most 1000000000",
  ]);
  expect(problemsOf(() => resolveConfig({ flags: { ...needed, steps: "2.5" } }))).toHaveLength(1);
});

test.each([
  [
    "an unclosed bracket",
    "data: [a.json\nout: run\n",
    "line 2: Flow sequence in block collection must be sufficiently indented and end with a ]",
  ],
  ["a key given twice", "seed: 1\nout: run\nseed: 2\n", "line 3: Map keys must be unique"],
  ["a tab for indentation", "data:\n\t- a.json\n", "line 2: Tabs are not allowed as indentation"],
  ["a list", "- seed\n- 1\n", "it is no mapping, expected lines like “batchSize: 32”"],
  ["a sentence", "hello", "it is no mapping, expected lines like “batchSize: 32”"],
])("a config file with %s is refused with its line", (_, text, problem) => {
  expect(problemsOf(() => resolveConfig({ file: configFile(text), flags: needed }))).toEqual([problem]);
});

test("a config file that is missing, a folder or far too large is refused", () => {
  expect(() => resolveConfig({ file: join(folder, "none.yaml") })).toThrow("none.yaml: there is no such file");
  expect(() => resolveConfig({ file: folder })).toThrow("it is a folder");
  const large = configFile("#".repeat(1_000_001), "large.yaml");
  expect(() => resolveConfig({ file: large })).toThrow("it has 1000001 bytes, at most 1000000 are allowed");
});

test("a value that contains itself is refused in its line, not met later", () => {
  expect(problemsOf(() => resolveConfig({ file: configFile("lr: 0.1\ndata: &a [b, *a]\n"), flags: needed }))).toEqual([
    "line 2: a value contains itself, or nests too deep, no key takes such",
  ]);
});

test("aliases that multiply are refused, and __proto__ is a key like any other unknown one", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (let i = 0; i < 9; i++) bomb.push(`${"bcdefghij"[i]}: &${"bcdefghij"[i]} [${`*${"abcdefghi"[i]},`.repeat(9)}]`);
  const started = performance.now();
  expect(problemsOf(() => resolveConfig({ file: configFile(bomb.join("\n")), flags: needed })).join()).toMatch(
    /alias/i,
  );
  expect(performance.now() - started).toBeLessThan(2000);
  expect(problemsOf(() => resolveConfig({ file: configFile('"__proto__": {"seed": 1}\n'), flags: needed }))).toEqual([
    'unknown key "__proto__" (/run.yaml, line 1)',
  ]);
});

test("an empty config file says nothing", () => {
  expect(resolveConfig({ file: configFile("# nothing yet\n"), flags: needed })).toEqual(
    resolveConfig({ flags: needed }),
  );
});

test("workers and paths are no part of a run's identity, everything that decides bits is", () => {
  const config = resolveConfig({ flags: needed });
  const moved: TrainConfig = {
    ...config,
    engine: "cpu",
    workers: 7,
    model: "/elsewhere",
    out: "/there",
    saveEvery: 9,
    keepCheckpoints: 1,
  };
  expect(unsafeChanges(config, moved)).toEqual([]);
  for (const change of [{ seed: 1 }, { cellTokens: 1 }, { lr: 1 }, { steps: 3, epochs: undefined }]) {
    const other = { ...config, ...change } as TrainConfig;
    expect(unsafeChanges(config, other)).toEqual(configKeys.filter((key) => key in change));
  }
});
