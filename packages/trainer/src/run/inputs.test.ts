/** Everything that a run reads: what follows from config and data, and in which order what is wrong is found. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { initParameters } from "@zerogate/core";
import { baseHash, baseStamp } from "@zerogate/core/node";
import { resolveConfig } from "@zerogate/run-config";
import { beforeAll, expect, test } from "vitest";
import { openPlace, sixSteps } from "../../../zerogate/test/here.ts";
import { openInputs } from "./inputs.ts";
import type { Phase } from "./phase.ts";

const place = openPlace();
const { at, base } = place;
const config = (flags: Readonly<Record<string, unknown>> = {}) =>
  resolveConfig({
    flags: {
      model: base,
      engine: "reference",
      data: [at("data.json")],
      out: at("out"),
      cacheDir: at("cache"),
      seed: "7",
      steps: "6",
      batchSize: "4",
      maxLength: "128",
      cellTokens: "128",
      workers: "1",
      ...flags,
    },
  });

async function open(
  flags: Readonly<Record<string, unknown>> = {},
  caches?: "used" | "passed over",
  signal = new AbortController().signal,
) {
  const phases: (Phase | undefined)[] = [];
  const warnings: string[] = [];
  const progress = {
    onPhase: (phase: Phase | undefined) => void phases.push(phase),
    onWarning: (warning: string) => void warnings.push(warning),
    signal,
  };
  const inputs = await openInputs(config(flags), progress, caches);
  return { inputs, phases, warnings };
}
const names = (phases: readonly (Phase | undefined)[]) => [...new Set(phases.map((phase) => phase?.name))];

beforeAll(async () => {
  await place.run(sixSteps(place, "trained", { "--adapter-layers": "1", "--adapter-len": "3", "--steps": "1" }));
});

test("a run's inputs are what config and files say, found in phases that end", async () => {
  const { inputs, phases, warnings } = await open({ valFraction: "0.25" }, "passed over");
  expect(names(phases)).toEqual(["reading data", "tokenising data", "hashing the base", undefined]);
  expect(phases.at(-1)).toBeUndefined();
  expect(phases).toContainEqual({ name: "tokenising data", done: 24, total: 24 });
  expect(warnings).toEqual([]);
  const { heldOut, plan, train, hashes, layout, totalSteps, counts } = inputs;
  expect(plan).toMatchObject({ sampleCount: 18, stepsPerEpoch: 5, hash: hashes.plan });
  expect(heldOut).toMatchObject({ set: "train", samples: { length: 6 } });
  expect(heldOut?.tokens).toBe(train.tokens);
  expect(heldOut?.recordOf).toBe(train.recordOf);
  expect(heldOut?.cells.flat().toSorted((a, b) => a - b)).toEqual(
    [...(heldOut?.samples ?? [])].toSorted((a, b) => a - b),
  );
  const held = new Set(heldOut?.samples);
  for (let step = 0; step < 5; step++)
    for (const sample of plan.step(step).samples) expect(held.has(sample)).toBe(false);
  expect(hashes).toEqual({
    base: await baseHash(base),
    data: train.tokens.hash,
    tokenizer: inputs.tokenizer.hash,
    plan: plan.hash,
  });
  expect(totalSteps).toBe(6);
  expect(counts).toMatchObject([{ name: "data", kept: 24, records: 24, maxLength: 128 }]);
  expect(inputs.initialParams).toEqual(initParameters(layout.table, 7, config().initStd));
  expect(inputs.adapterConfig).toMatchObject({
    baseModelNameOrPath: base,
    inferenceMode: false,
    taskType: "CAUSAL_LM",
  });
  expect("bytes" in inputs.weights).toBe(true);
  expect(inputs.weightBytes).toBeGreaterThan(0);
});

test("all layers but the lowest two are adapted if the config does not say it, one of few", async () => {
  expect((await open()).inputs.layout.shape.adaptedLayers).toBe(1); // three layers
  const small = join(at("two-layers"));
  cpSync(base, small, { recursive: true });
  const path = join(small, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), num_hidden_layers: 2 }));
  expect((await open({ model: small })).inputs.layout.shape.adaptedLayers).toBe(1);
  expect((await open({ adapterLayers: "3", adapterLen: "4" })).inputs.layout.shape).toMatchObject({
    adaptedLayers: 3,
    promptLength: 4,
  });
});

test("nothing is held out if the config says so, and every record is trained on", async () => {
  const { inputs } = await open({ valFraction: "0" });
  expect(inputs.heldOut).toBeUndefined();
  expect(inputs.plan.sampleCount).toBe(24);
});

test("validation data of its own is held out whole, is counted, and is part of what the data is", async () => {
  const { inputs, phases } = await open({ validationData: [at("held.json")] }, "passed over");
  expect(names(phases)).toContain("tokenising validation data");
  expect(inputs.plan.sampleCount).toBe(24);
  expect(inputs.heldOut).toMatchObject({ set: "validation", samples: Int32Array.of(0, 1, 2, 3) });
  expect(inputs.heldOut?.cells.flat().toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  expect(inputs.heldOut?.recordOf).toHaveLength(4);
  expect(inputs.hashes.data).toBe(`${inputs.train.tokens.hash}+${inputs.heldOut?.tokens.hash}`);
  expect(inputs.counts.map(({ name, kept }) => [name, kept])).toEqual([
    ["data", 24],
    ["validation data", 4],
  ]);
});

test("texts are as long as the model reads by default, and never longer", async () => {
  expect((await open({ maxLength: undefined })).inputs.counts[0]?.maxLength).toBe(192);
  expect((await open({ maxLength: "192" })).inputs.counts[0]?.maxLength).toBe(192);
  await expect(open({ maxLength: "193" })).rejects.toThrow(
    "maxLength is 193, the model's context is 192 tokens: use at most that",
  );
});

test("what is cut is warned about, and too many records without their answer are refused", async () => {
  const longest = (await open()).inputs.counts[0]?.longest ?? 0;
  const { warnings } = await open({ maxLength: String(longest - 1), maxDropped: "1" });
  expect(warnings).toEqual([
    expect.stringContaining(`cut at maxLength ${longest - 1} (the longest has ${longest} tokens)`),
  ]);
  await expect(open({ maxLength: "44", maxDropped: "0" })).rejects.toThrow("and maxDropped allows 0 %");
});

test("cells of a step are bounded by its longest samples", async () => {
  for (const cellTokens of ["64", "128", "512"]) {
    const { plan, maxCells } = (await open({ cellTokens, batchSize: "5" })).inputs;
    const most = Math.max(...Array.from({ length: 20 }, (_, step) => plan.step(step).cells.length));
    expect(maxCells).toBeGreaterThanOrEqual(most);
    expect(maxCells).toBeLessThanOrEqual(5);
  }
  const byFirstFit = (cellTokens: string) => open({ cellTokens, cellMultiple: "0" });
  expect((await byFirstFit("65536")).inputs.maxCells).toBe(1);
  const lengths = Array.from((await open()).inputs.train.tokens.offsets)
    .map((end, i, all) => end - (all[i - 1] ?? 0))
    .slice(1);
  const longest = lengths
    .toSorted((a, b) => b - a)
    .slice(0, 4)
    .reduce((a, b) => a + b);
  const { maxCells } = (await byFirstFit("300")).inputs;
  expect(maxCells).toBe(Math.min(4, Math.floor((2 * longest) / 300) + 1));
});

test("with processes each worker reads the base for itself, and knows which one it must be", async () => {
  const { inputs, phases } = await open({ isolate: true });
  expect(inputs.weights).toMatchObject({
    folder: base,
    weightDtypes: ["f32", "i8", "f8", "nf4", "i4"],
    mapFiles: false,
    storage: "as-is",
    base: { hash: await baseHash(base), stamp: await baseStamp(base) },
  });
  expect(names(phases)).toContain("hashing the base");
});

test("a cache is used, made if it is missing, or passed over", async () => {
  const cacheDir = at("own-cache");
  await open({ cacheDir }, "passed over");
  expect(existsSync(cacheDir)).toBe(false);
  const first = await open({ cacheDir });
  expect(names(first.phases)).toContain("tokenising data");
  expect(existsSync(cacheDir)).toBe(true);
  const again = await open({ cacheDir });
  expect(names(again.phases)).not.toContain("tokenising data");
  expect(again.inputs.hashes).toEqual(first.inputs.hashes);
  expect(names((await open({ cacheDir }, "passed over")).phases)).toContain("tokenising data");
});

test("training may begin with another adapter's numbers, shape and words, whose own names are not kept", async () => {
  const { inputs, warnings } = await open({ initAdapter: at("trained") });
  expect(inputs.layout.shape).toMatchObject({ adaptedLayers: 1, promptLength: 3 });
  expect(inputs.adapterConfig).toMatchObject({
    adapterLen: 3,
    adapterLayers: 1,
    inferenceMode: false,
    baseModelNameOrPath: base,
  });
  expect(inputs.initialParams).not.toEqual(initParameters(inputs.layout.table, 7, config().initStd));
  expect(warnings).toEqual([]);
  rmSync(at("trained/adapter"), { recursive: true });
  const newest = await open({ initAdapter: at("trained") });
  expect(newest.warnings).toEqual([expect.stringMatching(/its newest checkpoint, step 1, is used$/)]);
  expect(newest.inputs.initialParams).toEqual(inputs.initialParams);
});

test("if links are not followed, those that lead out of the base or of the first adapter are refused", async () => {
  const linked = at("linked");
  cpSync(base, linked, { recursive: true });
  symlinkSync(at("data.json"), join(linked, "more.json"));
  expect((await open({ model: linked })).warnings).toEqual([]);
  await expect(open({ model: linked, links: false })).rejects.toThrow("more.json");
  const adapter = at("adapter-with-link");
  mkdirSync(adapter);
  symlinkSync(at("data.json"), join(adapter, "notes.json"));
  await expect(open({ initAdapter: adapter, links: false })).rejects.toThrow("notes.json");
});

test("what can be found at once is found before the data is read", async () => {
  const gone = { data: [at("nowhere.json")] };
  await expect(open(gone)).rejects.toThrow("nowhere.json");
  await expect(open({ validationData: [at("gone.json")] })).rejects.toThrow("gone.json");
  await expect(open({ ...gone, template: "no-such-template" })).rejects.toThrow("no-such-template");
  await expect(open({ ...gone, model: at("no-base") })).rejects.toThrow("no-base");
  await expect(open({ ...gone, adapterLen: "193" })).rejects.toThrow("adapterLen is 193");
  await expect(open({ ...gone, maxLength: "193" })).rejects.toThrow("maxLength is 193");
  await expect(open({ ...gone, workers: "4000" })).rejects.toThrow("workers is 4000");
});

test("a base whose files change while it is read is refused, and a failure elsewhere is reported alone", async () => {
  const changing = at("changing");
  cpSync(base, changing, { recursive: true });
  const progress = {
    onPhase(phase: Phase | undefined) {
      if (phase?.name === "hashing the base") utimesSync(join(changing, "model.safetensors"), 1, 1);
    },
    onWarning() {},
    signal: new AbortController().signal,
  };
  await expect(openInputs(config({ model: changing }), progress)).rejects.toThrow(
    `Cannot use the base in ${changing}: its files changed while they were read: try again`,
  );
  // Hashing fails behind the data's own failure: nobody else must hear of it.
  const unhandled: unknown[] = [];
  const hear = (error: unknown) => void unhandled.push(error);
  process.on("unhandledRejection", hear);
  const gone = {
    ...progress,
    onPhase(phase: Phase | undefined) {
      if (phase?.name === "reading data") rmSync(changing, { recursive: true });
    },
  };
  writeFileSync(at("bad.json"), "[{]");
  await expect(openInputs(config({ model: changing, data: [at("bad.json")] }), gone, "passed over")).rejects.toThrow(
    "bad.json",
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  process.off("unhandledRejection", hear);
  expect(unhandled).toEqual([]);
});

test("a start that is interrupted ends with that", async () => {
  const stop = new AbortController();
  const progress = {
    onPhase: (phase: Phase | undefined) => phase?.name === "hashing the base" && stop.abort(new Error("interrupted")),
    onWarning() {},
    signal: stop.signal,
  };
  await expect(openInputs(config(), progress)).rejects.toThrow("interrupted");
});

test("a base whose output projection has a bias is said to differ from PEFT, unless the config says how often", async () => {
  const biased = at("biased");
  cpSync(base, biased, { recursive: true });
  const path = join(biased, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), attention_bias: true }));
  const heard: string[] = [];
  const progress = {
    onPhase() {},
    onWarning: (text: string) => void heard.push(text),
    signal: new AbortController().signal,
  };
  await openInputs(config({ model: biased }), progress).catch(() => {}); // its tensors are not there
  expect(heard).toEqual([expect.stringContaining("the base's output projection has a bias, which is added once")]);
  heard.length = 0;
  await openInputs(config({ model: biased, outputBias: "once" }), progress).catch(() => {});
  expect(heard).toEqual([]);
});
