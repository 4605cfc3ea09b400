/** What `inspect` says of every file that zerogate writes or reads, whole, cut in half or in the place of another. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { copyOf, openPlace, sixSteps } from "../../../test/here.ts";
import { run as runHere } from "../../../test/run_cli.ts";
import type { Facts } from "./facts.ts";

const place = openPlace();
const { at, run } = place;

async function facts(path: string): Promise<Facts> {
  const { code, stderr, json } = await run(["inspect", path, "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(json).toHaveLength(1);
  const text = await run(["inspect", path]);
  expect([text.code, text.stderr]).toEqual([0, ""]);
  expect(text.stdout).toMatch(/^kind +\S/);
  return json[0] as Facts;
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

/** What each file of a run, its checkpoints, its adapter, the cache and a base is. */
const kinds: readonly (readonly [name: RegExp, kind: string])[] = [
  [/(?:^|\/)metrics\.jsonl$/, "metrics"],
  [/receipt\.jsonl$/, "receipt"],
  [/log\.jsonl$/, "log"],
  [/^base\/config\.json$/, "model-config"],
  [/config\.json$/, "run-config"],
  [/adapter_config\.json$/, "adapter-config"],
  [/generation_config\.json$/, "generation-config"],
  [/tokenizer_config\.json$/, "tokenizer-config"],
  [/special_tokens_map\.json$/, "special-tokens"],
  [/tokenizer\.json$/, "tokenizer"],
  [/manifest\.json$/, "manifest"],
  [/zerogate\.json$/, "prompt-format"],
  [/state\.msgpack$/, "run-state"],
  [/optimizer\.safetensors$/, "optimizer"],
  [/\.safetensors$/, "tensors"],
  [/README\.md$/, "model-card"],
  [/lock-\d+\.free$/, "lock"],
  [/events\.out\.tfevents/, "tensorboard"],
  [/report\.html$/, "report"],
  [/\.tokens$/, "token-cache"],
  [/base-[0-9a-f]{64}$/, "base-hash"],
];
const kindOf = (name: string): string | undefined =>
  kinds.toSorted(([a], [b]) => b.source.length - a.source.length).find(([pattern]) => pattern.test(name))?.[1];

beforeAll(async () => {
  expect((await run(sixSteps(place, "run"))).code).toBe(0);
});

test("every file of a run, of its cache and of its base is named and read [T-D9]", async () => {
  const files = ["run", "cache", "base"].flatMap((name) => filesIn(at(name)));
  expect(files.length).toBeGreaterThan(30);
  for (const file of files) {
    const name = relative(at(""), file);
    const found = await facts(file);
    expect([name, found.kind, found["problem"]]).toEqual([name, kindOf(name), undefined]);
    expect(found["bytes"], name).toBe(statSync(file).size);
    expect(String(found["what"]).length, name).toBeGreaterThan(10);
  }
});

test("what is in them is reported, not only what they are [T-D9]", async () => {
  const inRun = (name: string) => facts(join(at("run"), name));
  expect(await inRun("metrics.jsonl")).toMatchObject({
    steps: 6,
    lastStep: 6,
    unreadable: 0,
    validations: { length: 3 },
  });
  expect(await inRun("receipt.jsonl")).toMatchObject({
    steps: 6,
    validations: 3,
    engine: "reference",
    isCutOff: false,
  });
  expect(await inRun("log.jsonl")).toMatchObject({
    unreadable: 0,
    data: [{ name: "data" }, { name: "validation data" }],
  });
  expect(await inRun("config.json")).toMatchObject({ zerogate: "0.2.0", steps: 6, adapterFrom: "best" });
  expect(await inRun("report.html")).toMatchObject({
    title: "run",
    subtitle: expect.stringContaining("LLaMA-Adapter run"),
  });
  const checkpoint = (name: string) => inRun(join("checkpoints/step-6", name));
  expect(await checkpoint("manifest.json")).toMatchObject({ isFolderWhole: true, files: { length: 6 } });
  expect(await checkpoint("state.msgpack")).toMatchObject({ step: 6, engine: "reference" });
  expect(await checkpoint("optimizer.safetensors")).toMatchObject({ updates: 6, parameters: 161 });
  expect(await checkpoint("zerogate.json")).toMatchObject({ bos: "tokenizer", template: { name: "alpaca" } });
  const [events = ""] = readdirSync(at("run")).filter((name) => name.startsWith("events."));
  expect(await inRun(events)).toMatchObject({
    lastStep: 6,
    events: 10,
    curves: expect.arrayContaining(["loss/train", "gate/adapted_0"]),
  });
  const [tokens = ""] = filesIn(at("cache")).filter((file) => file.endsWith(".tokens"));
  expect(await facts(tokens)).toMatchObject({ key: basename(tokens, ".tokens"), skipped: 0 });
  expect(await facts(join(place.base, "tokenizer.json"))).toMatchObject({ model: "BPE", pieces: 1024, merges: 765 });
  expect(await facts(join(place.base, "model.safetensors"))).toMatchObject({
    holds: expect.stringContaining("base model"),
  });
});

test("a file that was cut in half is described, and that it is damaged [T-D9]", async () => {
  const folders = [
    copyOf(place, "run", "half"),
    copyOf(place, "base", "half base"),
    copyOf(place, "cache", "half cache"),
  ];
  /** Half of a text of lines is lines, half of a card is a card, and half of a number is a number. */
  const mayBeWhole = ["log", "model-card", "heartbeat"];
  for (const file of folders.flatMap(filesIn)) {
    const { kind } = await facts(file);
    truncateSync(file, Math.floor(statSync(file).size / 2));
    const { kind: now, problem, problems = [], unreadable, isCutOff } = await facts(file);
    expect(now, file).toBe(kind === "model-config" || kind === "run-config" ? "model-config" : kind);
    const isNoticed =
      problem !== undefined || (problems as string[]).length > 0 || unreadable === 1 || isCutOff === true;
    expect(isNoticed || mayBeWhole.includes(kind), file).toBe(true);
  }
});

test("an emptied file says what it should have been [T-D9]", async () => {
  const folder = copyOf(place, "run", "emptied");
  for (const file of filesIn(folder)) {
    truncateSync(file, 0);
    const { kind, what } = await facts(file);
    expect(kind, file).toBe("empty");
    const hasOwnName = !/README\.md$|adapter_model|config\.json$/.test(file);
    expect(what, file).toMatch(hasOwnName ? /^empty, in the place of \w/ : /^empty/);
  }
});
const alpaca = (extra: object) => JSON.stringify([{ instruction: "a", output: "b", ...extra }]);

describe("folders", () => {
  test("collections are named with what is in them [T-D9]", async () => {
    const made = (name: string, ...below: readonly string[]) => {
      for (const path of below) mkdirSync(at(join(name, path)), { recursive: true });
      return at(name);
    };
    expect(await facts(join(at("run"), "checkpoints"))).toMatchObject({ kind: "checkpoints", holds: { length: 3 } });
    expect(await facts(at("cache"))).toMatchObject({ kind: "cache", tokenFiles: 2 });
    expect(await facts(made("models--a--b", "snapshots/abc", "blobs", "refs"))).toMatchObject({
      kind: "hub-cache",
      snapshots: { length: 1 },
    });
    expect(await facts(join(made("r", "rewound/1/step-4"), "rewound/1"))).toMatchObject({
      kind: "rewound",
      holds: ["step-4"],
    });
    cpSync(join(at("run"), "adapter"), join(made("several", "."), "one"), { recursive: true });
    expect(await facts(at("several"))).toMatchObject({
      kind: "adapters",
      adapters: ["one"],
      next: expect.stringContaining("adapters list"),
    });
    writeFileSync(join(made("data", "."), "a.jsonl"), '{"instruction":"a","output":"b"}\n');
    writeFileSync(at("data/b.json"), alpaca({}));
    expect(await facts(at("data"))).toMatchObject({ kind: "dataset", records: 2, files: { length: 2 } });
  });

  test("records with images and problems of ScienceQA: how many have one, and which are not there [T-D9]", async () => {
    const folder = at("photos");
    mkdirSync(folder);
    writeFileSync(join(folder, "a.png"), "");
    const records = [{ image: "a.png" }, { image: "b.png" }, {}, { image: "../x.png" }];
    writeFileSync(
      join(folder, "d.json"),
      JSON.stringify(records.map((one) => ({ instruction: "a", output: "b", ...one }))),
    );
    expect(await facts(join(folder, "d.json"))).toMatchObject({
      what: "instruction data with images, for --data",
      records: 4,
      withImage: 3,
      imageFolders: [folder],
      imagesNotFound: 2,
      firstNotFound: "b.png: there is no such file or folder",
    });
    const science = at("science");
    mkdirSync(science);
    const problem = { question: "q", choices: ["a", "b"], answer: 0, grade: "grade1", subject: "natural science" };
    writeFileSync(
      join(science, "problems.json"),
      JSON.stringify({ 1: problem, 2: { ...problem, image: "image.png" } }),
    );
    writeFileSync(join(science, "pid_splits.json"), JSON.stringify({ train: ["1", "2"], test: ["1", "3"] }));
    expect(await facts(science)).toMatchObject({
      kind: "scienceqa",
      splits: ["#train: 2 problems, 1 with an image", "#test: 1 problems, 0 with an image, 1 bad"],
      withImage: 1,
      imagesNotFound: 1,
    });
    expect(await facts(`${science}#train`)).toMatchObject({ kind: "dataset", records: 2, withImage: 1 });
    await expect(facts(`${science}#dev`)).resolves.toMatchObject({ problem: expect.stringContaining("no split") });
  });

  test("a model that cannot be used is described with the reason [T-D9]", async () => {
    const model = copyOf(place, "base", "another family");
    const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as object;
    writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, model_type: "llava" }));
    expect(await facts(model)).toMatchObject({
      kind: "model",
      modelType: "llava",
      weights: { files: 1 },
      problems: [expect.stringContaining("llava")],
    });
    const whole = await facts(place.base);
    expect(whole).toMatchObject({ kind: "model", problems: [], tokenizer: { vocabularySize: 1024, eosId: 2 } });
    expect(whole["next"]).toBe(`zerogate train --model ${place.base} --data DATA.json --out RUN`);
  });

  test("an adapter without its numbers, and one whose base is not here [T-D9]", async () => {
    const folder = copyOf(place, "run", "bare");
    const adapter = join(folder, "adapter");
    expect(await facts(adapter)).toMatchObject({
      isBaseThere: true,
      problems: [],
      next: `zerogate chat --adapter ${adapter}`,
    });
    truncateSync(join(adapter, "adapter_model.safetensors"), 100);
    const file = join(adapter, "adapter_config.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(JSON.stringify(place.base), '"org/name"'));
    expect(await facts(adapter)).toMatchObject({
      isBaseThere: false,
      problems: [expect.stringContaining("adapter_model.safetensors")],
      next: `zerogate chat --adapter ${adapter} --model BASE`,
    });
  });

  test("what cannot be inspected is refused in words [T-D9]", async () => {
    const refused = async (path: string, ...more: string[]) => {
      const { code, stdout, stderr } = await runHere("inspect", path, ...more);
      expect([code, stdout]).toEqual([2, ""]);
      return stderr;
    };
    mkdirSync(at("empty"));
    expect(await refused(at("empty"))).toContain("it is a folder of no kind that zerogate knows: it is empty");
    mkdirSync(at("odd"));
    writeFileSync(at("odd/a.c"), "int a;");
    expect(await refused(at("odd"))).toContain('it holds "a.c"');
    symlinkSync(at("nowhere"), at("dead"));
    expect(await refused(at("dead"))).toContain(`is a link to ${at("nowhere")}, which is not there`);
    symlinkSync(at("round"), at("round"));
    expect(await refused(at("round"))).toContain("it is a link that leads back to itself");
    execFileSync("mkfifo", [at("pipe")]);
    expect(await refused(at("pipe"))).toContain("it is a pipe");
    expect(await refused("/dev/null")).toContain("it is a device");
    const linked = copyOf(place, "base", "linked");
    symlinkSync(at("data.json"), join(linked, "elsewhere.json"));
    expect(await refused(linked, "--no-links")).toContain("elsewhere.json is a link to");
    expect((await runHere("inspect", linked)).code).toBe(0);
  });
});
