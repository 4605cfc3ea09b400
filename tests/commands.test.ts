/** Every command but the refusals: what it prints where, in the form that other tools rely on. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, heldOutFile, records, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });
const adapter = join("run", "adapter");
let trained: Outcome;

beforeAll(async () => {
  trained = await run("train", ...flags, "--out", "run", "--json");
  expect(trained).toMatchObject({ code: 0 });
});

/** The one JSON object that a command printed. */
function only({ code, json, stdout, stderr }: Outcome): Record<string, unknown> {
  expect(code, stderr).toBe(0);
  expect(stdout.split("\n")).toEqual([JSON.stringify(json[0]), ""]);
  return json[0] as Record<string, unknown>;
}

describe("train", () => {
  test("--json prints one object per step, then what came of it, and keeps all else on stderr", () => {
    const lines = trained.stdout.trimEnd().split("\n");
    expect(trained.json.length).toBe(lines.length);
    expect(trained.json.map(({ event, step }) => step ?? event)).toEqual([1, 2, 3, 4, 5, 6, "done"]);
    expect(Object.keys(trained.json[0] ?? {})).toEqual(
      expect.arrayContaining(["event", "loss", "learningRate", "gradientNorm", "gates", "tokensPerSecond"]),
    );
    expect(trained.json.at(-1)).toMatchObject({
      ending: "finished",
      steps: 6,
      out: join(folder, "run"),
      adapterFolder: join(folder, adapter),
      report: join(folder, "run", "report.html"),
      base: { exactMatch: expect.any(Number) },
      adapter: { loss: expect.any(Number) },
    });
    expect(trained.stderr).toContain("step 6/6");
  });

  test("a run whose prompts never move ends with a warning that names them [F2]", async () => {
    expect(trained.json.at(-1)).toMatchObject({ unmoved: [] });
    // One step: gates are 0, so that the gradient of every prompt is exactly 0; without decay it stays where it is.
    const still = ["--out", "still", "--steps", "1", "--warmup-steps", "0", "--weight-decay", "0"];
    const warned = await run("train", ...flags, ...still);
    expect(warned.code, warned.stderr).toBe(0);
    expect(warned.stdout).toContain("Warning: all prompts never moved: look at the learning rate");
    rmSync(join(folder, "still"), { recursive: true });
  });

  test("--dry-run says what would be done, in PEFT's words, and writes nothing [L2]", async () => {
    const shown = await run("train", ...flags, "--out", "dry", "--dry-run", "--adapter-layers", "2");
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/trainable params: 2,562 \|\| all params: 1,\d{3},\d{3} \|\| trainable%: 0\.\d{4}\n/);
    expect(shown.stdout).toMatch(/samples +64 to train on, 8 held out\n/);
    expect(shown.stdout).toMatch(/steps +6 \(8 an epoch\)/);
    expect(shown.stdout).toContain("Nothing was trained or written");
    const facts = only(await run("train", ...flags, "--out", "dry", "--dry-run", "--json"));
    expect(facts).toMatchObject({ samples: 64, heldOut: 8, totalSteps: 6, config: { batchSize: 8, seed: 7 } });
    expect(existsSync(join(folder, "dry"))).toBe(false);
  });

  test("flags win over the config file, the file over the preset, the preset over the defaults", async () => {
    const yaml = [
      "preset: peft",
      "lr: 0.25",
      "adapterLen: 4",
      "steps: 9",
      "data: [data.json]",
      "seed: 3",
      "maxLength: 128",
    ].join("\n");
    writeFileSync(join(folder, "run.yaml"), yaml);
    const args = ["--config", "run.yaml", "--model", base, "--out", "dry", "--steps", "2", "--dry-run", "--json"];
    const { config } = only(await run("train", ...args));
    expect(config).toMatchObject({ steps: 2, lr: 0.25, adapterLen: 4, batchSize: 8, minLr: 0, seed: 3, clipNorm: 1 });
    expect(config).toMatchObject({ data: [join(folder, "data.json")] });
  });

  test("its stored config repeats the run", async () => {
    const again = await run("train", "--config", join("run", "config.json"), "--out", "again", "--json");
    expect(again.json.map(({ loss }) => loss)).toEqual(trained.json.map(({ loss }) => loss));
    const tensors = (name: string) => readFileSync(join(folder, name, "adapter", "adapter_model.safetensors"), "hex");
    expect(tensors("again")).toBe(tensors("run"));
  });
});

describe("an adapter may be named by its run, and names its base", () => {
  const asked = ["--prompt", "Name", "--max-new-tokens", "4", "--json"];
  const text = async (...args: string[]) => only(await run("generate", ...args, ...asked))["tokens"];

  test("generate, chat, eval and adapters take a run for its adapter, without --model [T-D8]", async () => {
    const named = await run("generate", "--adapter", "run", ...asked);
    expect(named.stderr).toContain(`The base is ${base}, which the adapter names`);
    expect(only(named)["tokens"]).toEqual(await text("--model", base, "--adapter", adapter));
    const evaluated = async (...args: string[]) => only(await run("eval", "--data", heldOutFile, "--json", ...args));
    expect(await evaluated("--adapter", "run")).toEqual(await evaluated("--model", base, "--adapter", adapter));
    const chat = await zerogateHere(["chat", "--adapter", "run", "--max-new-tokens", "2"], {
      cwd: folder,
      input: "Hi\n",
    });
    expect(chat).toMatchObject({ code: 0, stderr: expect.stringContaining("Answers: run. Adapters: run.") });
    expect(only(await run("adapters", "diff", "run", adapter, "--json"))).toMatchObject({ same: true });
    expect((await run("convert", "run", "as.pth", "--to", "original")).stderr).toContain("which the adapter names");
  });

  test("a run without an adapter lends its newest checkpoint, with a note [T-D8]", async () => {
    cpSync(join(folder, "run"), join(folder, "unfinished"), { recursive: true });
    rmSync(join(folder, "unfinished", "adapter"), { recursive: true });
    const { stderr } = await run("generate", "--adapter", "unfinished", ...asked);
    expect(stderr).toContain("unfinished is a run that has no adapter yet: its newest checkpoint, step 6, is used");
    expect(await text("--model", base, "--adapter", "unfinished")).toEqual(
      await text("--model", base, "--adapter", join("unfinished", "checkpoints", "step-6")),
    );
  });

  afterAll(() => {
    for (const name of ["unfinished", "moved", "as.pth"]) rmSync(join(folder, name), { recursive: true, force: true });
  });

  test("a base that is not where the adapter says is named [T-D8]", async () => {
    cpSync(join(folder, adapter), join(folder, "moved"), { recursive: true });
    const path = join(folder, "moved", "adapter_config.json");
    const moved = (name: string | null) =>
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), base_model_name_or_path: name }));
    moved("meta-llama/Llama-2-7b");
    expect(await run("generate", "--adapter", "moved", ...asked)).toMatchObject({
      code: 2,
      stderr:
        "Cannot find the base: moved names meta-llama/Llama-2-7b, which is neither a folder here nor in the Hub's cache: zerogate download meta-llama/Llama-2-7b fetches it, or give --model\n",
    });
    moved(null);
    expect((await run("eval", "--adapter", "moved", "--data", heldOutFile)).stderr).toContain(
      "moved does not name it: give --model",
    );
  });
});

test("eval prints the contract's numbers, and with an adapter those of the run's end", async () => {
  const plain = only(await run("eval", "--model", base, "--data", "held.json", "--compute", "f32", "--json"));
  const own = ["--adapter", adapter, "--compute", "f32"]; // that of the run
  const adapted = only(await run("eval", "--model", base, ...own, "--data", "held.json", "--json"));
  const done = trained.json.at(-1) as { base: typeof plain; adapter: typeof plain };
  for (const [found, expected] of [
    [plain, done.base],
    [adapted, done.adapter],
  ] as const) {
    expect(Object.keys(found)).toEqual(expect.arrayContaining(["loss", "perplexity", "labelledTokens", "exactMatch"]));
    expect(found["loss"]).toBeCloseTo(Number(expected["loss"]), 5); // other cells, other rounding
    expect(found["perplexity"]).toBeCloseTo(Math.exp(Number(found["loss"])), 9);
    expect(found).toMatchObject({ labelledTokens: expected["labelledTokens"], exactMatch: expected["exactMatch"] });
  }
  expect(adapted["loss"]).not.toBe(plain["loss"]);
});

test.each([
  { path: base, expected: { kind: "model", layers: 6, vocabSize: 1024 } },
  { path: adapter, expected: { kind: "adapter", peftType: "ADAPTION_PROMPT", adapterLen: 10 } },
  { path: "run", expected: { kind: "run", steps: 6, checkpoints: [6] } },
  { path: "run/checkpoints/step-6", expected: { kind: "checkpoint", whole: true, step: 6 } },
  { path: heldOutFile, expected: { kind: "dataset", bad: 0 } },
  { path: join(adapter, "adapter_model.safetensors"), expected: { kind: "tensors" } },
])("inspect says what $expected.kind it is", async ({ path, expected }) => {
  expect(only(await run("inspect", path, "--json"))).toMatchObject(expected);
  const text = await run("inspect", path);
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(new RegExp(`^kind +${expected.kind}\n`));
});

test("doctor finds this machine able", async () => {
  expect(only(await run("doctor", "--json"))).toMatchObject({ ok: true, versions: { node: process.versions.node } });
  const text = await run("doctor");
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(/^ok +Node +\d+/m);
});

test("--help and --version answer on stdout", async () => {
  const help = await run("--help");
  expect(help).toMatchObject({ code: 0, stderr: "" });
  for (const name of [
    "quickstart",
    "train",
    "resume",
    "eval",
    "generate",
    "chat",
    "inspect",
    "verify",
    "rewind",
    "doctor",
  ]) {
    expect(help.stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
    expect(await run(name, "--help")).toMatchObject({ code: 0, stderr: "" });
  }
  expect(help.stdout).toMatch(/Exit codes: 0 .* 1 .* 2 .* 3 .*\s129, 130, 143 /);
  expect(await run("--version")).toMatchObject({ code: 0, stdout: "0.2.0\n" });
});

test("no escape sequence reaches a pipe, with or without NO_COLOR", async () => {
  expect(trained.stderr).not.toContain("\u001b");
  const plain = await zerogateHere(["generate", "--model", base, "--prompt", "a", "--max-new-tokens", "2"], {
    cwd: folder,
    env: { NO_COLOR: "1", FORCE_COLOR: "" },
  });
  expect(plain).toMatchObject({ code: 0, stderr: expect.not.stringContaining("\u001b") });
});

describe("chat", () => {
  const chat = (lines: readonly string[], ...args: string[]) =>
    zerogateHere(["chat", "--model", base, "--max-new-tokens", "12", ...args], {
      cwd: folder,
      input: lines.map((line) => `${line}\n`).join(""),
    });

  test("answers each line as generate does, with the adapter or the base", async () => {
    const [first] = records("heldout.json", 1);
    const instruction = first?.instruction ?? "";
    const asked = ["--model", base, "--instruction", instruction, "--max-new-tokens", "12"];
    const [plain, adapted] = [
      await run("generate", ...asked),
      await run("generate", ...asked, "--adapter", `${adapter}=mine`),
    ];
    const talk = await chat(
      [instruction, "/base", instruction, "/adapter mine", "/quit", "never read"],
      "--adapter",
      `${adapter}=mine`,
    );
    expect(talk).toMatchObject({ code: 0, stdout: adapted.stdout + plain.stdout });
    expect(talk.stderr).toMatch(/Answers: mine\. [\s\S]*Answers: the base\. [\s\S]*Answers: mine\. /);
    const blended = await chat(["/scale 0", instruction, "/scale 2", "/scale 1", instruction], "--adapter", adapter);
    expect(blended).toMatchObject({ code: 0, stdout: plain.stdout + adapted.stdout });
    expect(blended.stderr).toMatch(
      /adapter at a scale of 0\.[\s\S]*A scale is a number from 0 [\s\S]*Answers: adapter\. /,
    );
  });

  test("goes on after a line that it cannot answer, and ends with its input", async () => {
    const talk = await chat(["/adapter nobody", "/what", "word ".repeat(300)]);
    expect(talk).toMatchObject({ code: 0, stdout: "" });
    expect(talk.stderr).toContain('There is no adapter "nobody"');
    expect(talk.stderr).toMatch(/the prompt has \d+ tokens, the model's context is 256/);
  });
});

test("Ctrl-C ends a chat that waits for its user, and an evaluation", async () => {
  const cases = [
    { args: ["chat", "--model", base], at: /^> |\/quit/ },
    { args: ["eval", "--model", base, "--data", heldOutFile, "--engine", "reference"], at: /evaluating/ },
  ];
  for (const { args, at } of cases) {
    const ended = await zerogate(args, {
      cwd: folder,
      input: undefined,
      onLine: (line, send) => {
        if (at.test(line)) send("SIGINT");
      },
    });
    expect(ended).toMatchObject({ code: 130, stdout: "" });
    expect(ended.stderr).not.toMatch(/saving|closed|Error/);
  }
});

test("commands leave nothing in the folder that they were called in", () => {
  expect(readdirSync(folder).toSorted()).toEqual(["again", "cache", "data.json", "held.json", "run", "run.yaml"]);
});
