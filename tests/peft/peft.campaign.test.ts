/**
 * Adapters cross between Zerogate and the real Hugging Face PEFT, both ways. Python is `ZEROGATE_PYTHON`, else `python3`;
 * `ZEROGATE_ADAPTER` names an adapter of the packaged base to check instead of one that is trained here.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  adapterLayout,
  adaptionPromptConfig,
  cellGradient,
  generate,
  initParameters,
  packCell,
  type TokenSet,
  tokenLogits,
} from "@zerogate/core";
import { parseSafetensors, readAdapterTensors } from "@zerogate/core/formats";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { uniform } from "@zerogate/core/training";
import { loadTemplate, loadTokenizer, prepareTokens, readRecords } from "@zerogate/data";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { absentModules, runPython } from "../support/python.ts";
import { largestDifference, largestMagnitude, openBoth, partsOf } from "./compare.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const world = here("../../packages/trainer/world");
const base = join(world, "base");
const golden = (name: string) => here(`../../../shared/golden/${name}`);

const absentPython = absentModules("peft", "torch", "transformers");
const goldenNames = ["llama_mha", "llama_gqa", "llama3_rope", "mistral_gqa", "llama_bias", "gpt2"];
const absentGolden = existsSync(golden("")) ? "" : " (skipped: shared/golden is not on this machine)";
const goldenHere = absentGolden === "" ? goldenNames : [];

const NEW_TOKENS = 12;
/** Samples of the labelled batch. */
const samples = [0, 1, 2, 3];

interface Job {
  readonly name: string;
  readonly base: string;
  readonly adapter: string;
  readonly tokens: TokenSet;
  /** PEFT writes the adapter folder, of this shape. */
  readonly make?: { readonly adapter_len: number; readonly adapter_layers: number; readonly seed: number };
}

interface PeftReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly different: readonly string[];
  readonly loss: number;
  readonly greedy: readonly number[];
}

describe.skipIf(absentPython !== "")(`real PEFT${absentPython}`, () => {
  const folder = testFolder();
  const jobs: Record<string, Job> = {};
  let heldOut: Awaited<ReturnType<typeof heldOutTokens>>;

  beforeAll(async () => {
    heldOut = await heldOutTokens();
    const { tokens } = heldOut;
    const ours = process.env["ZEROGATE_ADAPTER"] ?? (await trainAdapter(folder));
    const make = { adapter_len: 3, adapter_layers: 5, seed: 7 };
    const all: Job[] = [
      { name: "ours", base, adapter: ours, tokens },
      ...(await seeingAdapters(folder)).map(({ fusion, adapter }) => ({ name: fusion, base, adapter, tokens })),
      { name: "theirs", base, adapter: join(folder, "theirs"), tokens, make },
      ...goldenHere.map((name) => {
        return { name, base: golden(`${name}/base`), adapter: golden(`${name}/adapter`), tokens: anyTokens(64) };
      }),
    ];
    for (const job of all) jobs[job.name] = job;
    const list = all.map(({ tokens: set, ...job }) => {
      const sequences = samples.map((sample) => sequenceOf(set, sample));
      return { ...job, sequences, prompt: promptOf(set), newTokens: NEW_TOKENS };
    });
    const file = join(folder, "jobs.json");
    await writeFile(file, JSON.stringify(list));
    await runPython(here("peft_check.py"), file, folder);
  });

  test.each(["ours", "theirs"])("%s: keys, logits, loss, gradients and greedy tokens agree [A3]", async (name) => {
    const { gates } = await expectAgreement(jobs[name], folder);
    expect(Math.max(...gates.map(Math.abs)), "gates are open").toBeGreaterThan(0.1);
  });

  test.each(fusions)(
    "fusion %s: PEFT loads the folder of an adapter that sees as a text adapter, with our logits without an image [V10]",
    async (fusion) => {
      const job = jobs[fusion];
      if (!job) throw new RangeError("Cannot compare: there is no such job");
      const { model, adapter } = await openBoth(job);
      expect(adapter.layout.shape.vision).toMatchObject({ fusion });
      expect(await readReport(folder, fusion)).toMatchObject({ missing: [], unexpected: [], different: [] });
      const path = join(folder, `${fusion}.safetensors`);
      const { tensors } = parseSafetensors(new Uint8Array(await readFile(path)), path);
      const peft = new Float32Array(tensors.get("logits")?.bytes.slice().buffer ?? new ArrayBuffer());
      const ours = await tokenLogits(model, adapter, packCell(job.tokens, samples));
      expect(largestMagnitude(peft)).toBeGreaterThan(1);
      expect(largestDifference(ours, peft) / largestMagnitude(peft)).toBeLessThan(1e-5);
    },
  );

  test("an adapter folder of PEFT's answers on the command line what PEFT answers", async () => {
    const { greedy } = await readReport(folder, "theirs");
    const end = greedy.indexOf(2); // </s> of the packaged base: the command stops there
    const { instruction, input } = heldOut.firstRecord;
    const flags = ["--model", base, "--adapter", join(folder, "theirs"), "--json"];
    const asked = ["--instruction", instruction, ...(input === "" ? [] : ["--input", input])];
    const length = ["--max-new-tokens", `${NEW_TOKENS}`];
    const { json } = await zerogate(["generate", ...flags, ...asked, ...length], { cwd: folder });
    expect(json[0]?.["tokens"]).toEqual(end === -1 ? greedy : greedy.slice(0, end));
  });

  test.skipIf(absentGolden !== "").each(goldenNames)(`golden base %s agrees as well${absentGolden}`, async (name) => {
    await expectAgreement(jobs[name], folder);
  });
});

const fusions = ["global", "query"] as const;

/** Adapters that see images, as if trained: nothing is zero. */
async function seeingAdapters(folder: string) {
  const model = await readModelConfig(base);
  const sizes = { embedSize: 8, blocks: 1, heads: 2, mlpSize: 6, blockEps: 1e-6, normEps: 1e-5 };
  const tower = { modelType: "vit", hiddenSize: 6, layers: 2, imageSize: 32, patchSize: 8 };
  return await Promise.all(
    fusions.map(async (fusion) => {
      const isQuery = fusion === "query";
      const common = { featureSize: 6, missingImage: "none" } as const;
      const vision = isQuery ? { fusion, ...common, ...sizes } : { fusion, ...common, projectionSize: 3 };
      const layout = adapterLayout({ promptLength: 4, adaptedLayers: 3, vision }, model);
      const params = initParameters(layout.table, 3).map((value, i) => value + 0.3 + 0.1 * Math.sin(i));
      const config = adaptionPromptConfig({ adapterLen: 4, adapterLayers: 3, taskType: "CAUSAL_LM" });
      const seen = {
        features: [isQuery ? "tokens@-1" : "cls@-1"],
        featureNorm: "none",
        severalImages: isQuery ? "concat" : "mean",
        tower: { ...tower, channelOrder: "rgb", exif: "apply" },
      } as const;
      const adapter = join(folder, `seeing-${fusion}`);
      await saveAdapter(adapter, { config, layout, params, seen });
      return { fusion, adapter };
    }),
  );
}

/** A few steps of the real command at a rate that moves every gate. */
async function trainAdapter(folder: string): Promise<string> {
  const out = join(folder, "run");
  const flags = {
    model: base,
    data: join(world, "train.json"),
    out,
    steps: 6,
    lr: 0.05,
    "warmup-steps": 0,
    "batch-size": 8,
    "max-length": 128,
    "cell-tokens": 256,
    "val-fraction": 0,
    "adapter-len": 10,
    "adapter-layers": 4,
    workers: 1,
  };
  const args = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, `${value}`]);
  const outcome = await zerogate(["train", ...args], { cwd: folder });
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  return join(out, "adapter");
}

async function heldOutTokens() {
  const paths = join(world, "heldout.json");
  const tokenizer = await loadTokenizer(base);
  const template = await loadTemplate("alpaca");
  const { tokens, recordOf } = await prepareTokens({ paths, tokenizer, template, rule: "response", maxLength: 128 });
  const { records } = await readRecords(paths);
  const firstRecord = records[recordOf[0] ?? -1];
  if (!firstRecord) throw new RangeError("Cannot find the record of the first sample");
  return { tokens, firstRecord };
}

/** Samples of 9, 12, 7 and 10 tokens below `vocabulary`, the last 4 of each labelled, for bases that know no text. */
function anyTokens(vocabulary: number): TokenSet {
  const lengths = [9, 12, 7, 10];
  const offsets = Float64Array.of(0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b)));
  const ids = Int32Array.from({ length: 38 }, (_, t) => 3 + Math.floor(uniform(11, t) * (vocabulary - 3)));
  const target = new Uint8Array(38);
  for (const end of offsets.subarray(1)) target.fill(1, end - 4, end);
  return { ids, target, offsets, hash: "" };
}

function sequenceOf({ ids, target, offsets }: TokenSet, sample: number): { ids: number[]; firstTarget: number } {
  const [begin, end] = [offsets[sample], offsets[sample + 1]];
  return { ids: [...ids.subarray(begin, end)], firstTarget: target.subarray(begin, end).indexOf(1) };
}

/** The first sample up to its answer. */
function promptOf(tokens: TokenSet): number[] {
  const { ids, firstTarget } = sequenceOf(tokens, 0);
  return ids.slice(0, firstTarget);
}

async function readReport(folder: string, name: string): Promise<PeftReport> {
  return JSON.parse(await readFile(join(folder, `${name}.json`), "utf8"));
}

/** Computes here what PEFT computed for this job, and compares: logits to 1e-4, gradients to 1e-4 of the largest. */
async function expectAgreement(job: Job | undefined, folder: string): Promise<{ gates: number[] }> {
  if (!job) throw new RangeError("Cannot compare: there is no such job");
  const { model, adapter } = await openBoth(job);
  const report = await readReport(folder, job.name);
  expect(report, "every tensor reached PEFT").toMatchObject({ missing: [], unexpected: [], different: [] });
  const path = join(folder, `${job.name}.safetensors`);
  const { tensors } = parseSafetensors(new Uint8Array(await readFile(path)), path);
  const logits = new Float32Array(tensors.get("logits")?.bytes.slice().buffer ?? new ArrayBuffer());
  tensors.delete("logits");
  const { params: peftGradient } = readAdapterTensors(tensors, adapter.layout, path);

  const cell = packCell(job.tokens, samples);
  expect(largestDifference(await tokenLogits(model, adapter, cell), logits), "logits").toBeLessThan(1e-4);
  const labelled = cell.rows_R.length;
  const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1 / labelled);
  expect(lossSum / labelled, "loss").toBeCloseTo(report.loss, 5);
  const { prompts, gates } = partsOf(adapter);
  for (const [part, indices] of Object.entries({ prompts, gates })) {
    const [own, peft] = [gradient, peftGradient].map((all) => Float32Array.from(indices, (i) => all[i] ?? Number.NaN));
    const largest = largestMagnitude(peft);
    expect(largest, `gradient of ${part}`).toBeGreaterThan(0);
    expect(largestDifference(own, peft) / largest, `gradient of ${part}`).toBeLessThan(1e-4);
  }
  const greedy: number[] = [];
  const options = { maxNewTokens: NEW_TOKENS, eosTokenIds: [] };
  for await (const id of generate(model, adapter, promptOf(job.tokens), options)) greedy.push(id);
  expect(greedy, "greedy tokens").toEqual(report.greedy);
  return { gates: gates.map((i) => adapter.params[i] ?? 0) };
}
