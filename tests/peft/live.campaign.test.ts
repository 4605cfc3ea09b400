/**
 * Random tiny configurations against the installed PEFT, or against plain torch if PEFT refuses the base, both ways: it
 * writes a base and an adapter that we load, and we write an adapter of another shape that it loads; logits, loss and
 * gradients must agree each time. `ZEROGATE_LIVE_CASES` is how many (default 200).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  adapterLayout,
  cellGradient,
  initParameters,
  layerParts,
  packCell,
  parseAdaptionPromptConfig,
  type TokenSet,
  tokenLogits,
} from "@zerogate/core";
import { parseSafetensors, readAdapterTensors } from "@zerogate/core/formats";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { uniform } from "@zerogate/core/training";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "../support/cli.ts";
import { absentModules, python } from "../support/python.ts";
import { largestDifference, largestMagnitude, openBoth, partsOf } from "./compare.ts";
import { type LiveCase, liveCase } from "./live_cases.ts";

const absentPython = absentModules("peft", "torch", "transformers");

const cases = Array.from({ length: Number(process.env["ZEROGATE_LIVE_CASES"] ?? 200) }, (_, i) => liveCase(i));

/** Cases that Python works on ahead of the one that is compared here. */
const AHEAD = 2;

test("the cases hold every variant several times", () => {
  const variants = (one: LiveCase) => {
    const { model_type, rope_parameters, num_attention_heads: H, num_key_value_heads: G, ...rest } = one.config;
    const { head_dim: d, hidden_size: D, n_layer, num_hidden_layers: N = n_layer } = rest as Record<string, number>;
    const { rope_type = "default" } = (rope_parameters ?? {}) as { rope_type?: string };
    const traits = {
      [`${String(model_type)} against ${one.against}`]: true,
      [rope_type]: true,
      [one.storage]: true,
      [`ours ${one.ours.dtype}`]: true,
      [`${one.padding}-padded batch`]: one.sequences.length > 1,
      "grouped queries": H !== G,
      "head_dim is not D / H": d !== undefined && D !== Number(H) * d,
      "attention bias": one.config["attention_bias"] === true,
      "sliding window": typeof one.config["sliding_window"] === "number",
      "window in some layers": one.config["use_sliding_window"] === true && isMixed(one),
      "tied embeddings": one.config["tie_word_embeddings"] === true,
      "all layers adapted": one.shape.adapter_layers === N,
      "some layers adapted": one.shape.adapter_layers !== N,
      "one prompt": one.shape.adapter_len === 1,
    };
    return Object.entries(traits).flatMap(([name, holds]) => (holds ? [name] : []));
  };
  const all = Array.from({ length: 200 }, (_, i) => variants(liveCase(i))).flat();
  const rare = [...new Set(all)].filter((name) => all.filter((other) => other === name).length < 8);
  expect([new Set(all).size, rare]).toEqual([28, []]);
});

describe.skipIf(absentPython !== "")(
  `${cases.length} random configurations against the live PEFT${absentPython}`,
  () => {
    const folder = testFolder();
    const theirReports: Promise<unknown>[] = [];
    let peft: Peft;
    beforeAll(() => {
      peft = openPeft();
    });
    afterAll(() => peft.close());

    /** Has PEFT make a case and compute it. */
    function request(one: LiveCase): Promise<unknown> {
      const { base, theirs, theirNumbers } = pathsOf(folder, one);
      const { against, sequences, padding } = one;
      const made = peft.ask({ do: "make", ...one, base, adapter: theirs });
      const computed = peft.ask({
        do: "compute",
        against,
        base,
        adapter: theirs,
        sequences,
        padding,
        out: theirNumbers,
      });
      const report = made.then(() => computed);
      for (const promise of [computed, report]) promise.catch(() => {}); // the case's test hears of it
      return report;
    }

    test("torch_adapter.py, which stands in if PEFT refuses, computes what PEFT computes if both can", async () => {
      const both = cases
        .slice(0, 20)
        .filter(({ against, config }) => against === "peft" && config["model_type"] !== "gpt2");
      for (const one of both) {
        const { base, theirs, theirNumbers, ours: _, ourNumbers } = pathsOf(folder, one);
        const { sequences, padding } = one;
        const index = cases.indexOf(one);
        for (const next of cases.slice(theirReports.length, index + 1)) theirReports.push(request(next));
        const { loss } = (await theirReports[index]) as { loss: number };
        const job = { do: "compute", against: "torch", base, adapter: theirs, sequences, padding, out: ourNumbers };
        const stand = (await peft.ask(job)) as { loss: number };
        expect(Math.abs(stand.loss - loss) / Math.max(1, loss)).toBeLessThan(1e-6);
        const [expected, found] = [await readTensors(theirNumbers), await readTensors(ourNumbers)];
        expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
        for (const [name, values] of expected) {
          const scale = Math.max(1e-3, largestMagnitude(values));
          expect(largestDifference(found.get(name), values) / scale, name).toBeLessThan(2e-6);
        }
      }
    });

    test.each(cases.map((one, index) => [index, describeCase(one), one] as const))(
      "case %i: %s [A3, B2, B4, C2, L5, M-llama, M-mistral, M-qwen2, M-gemma, M-gpt2, M-peft]",
      async (index, _, one) => {
        const { base, theirs, theirNumbers, ours, ourNumbers } = pathsOf(folder, one);
        const { against, sequences, padding } = one;
        for (const next of cases.slice(theirReports.length, index + 1 + AHEAD)) theirReports.push(request(next));
        const report = await theirReports[index];
        await writeOurs(base, ours, one);
        const answer = peft.ask({ do: "compute", against, base, adapter: ours, sequences, padding, out: ourNumbers });
        await expectAgreement("theirs", { base, adapter: theirs }, one, report, theirNumbers);
        await expectAgreement("ours", { base, adapter: ours }, one, await answer, ourNumbers);
      },
    );
  },
);

/** Some layers slide and some do not. */
function isMixed({ config }: LiveCase): boolean {
  const { layer_types: types, max_window_layers: first, num_hidden_layers: layers } = config;
  return Array.isArray(types) ? new Set(types).size > 1 : Number(first) > 0 && Number(first) < Number(layers);
}

async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const { tensors } = parseSafetensors(new Uint8Array(await readFile(path)), path);
  return new Map([...tensors].map(([name, { bytes }]) => [name, new Float32Array(bytes.slice().buffer)]));
}

function describeCase({ config, storage, shape, padding, sequences }: LiveCase): string {
  const { adapter_len: K, adapter_layers: L } = shape;
  const { rope_parameters, ...sizes } = config;
  const all = { ...sizes, ...(rope_parameters as object), K, L, storage, padding };
  const short: Readonly<Record<string, string>> = {
    hidden_size: "D",
    n_embd: "D",
    num_attention_heads: "H",
    n_head: "H",
    num_key_value_heads: "G",
    head_dim: "d",
    num_hidden_layers: "N",
    n_layer: "N",
    K: "K",
    L: "L",
    sliding_window: "window",
    model_type: "",
    rope_type: "",
    storage: "",
    padding: "",
  };
  const parts = Object.entries(short).flatMap(([key, name]) => {
    const value = (all as Readonly<Record<string, string | number | null>>)[key];
    return value == null ? [] : [name === "" ? `${value}` : `${name}=${value}`];
  });
  return `${parts.join(" ")} ${sequences.map(({ ids }) => ids.length).join("+")}`;
}

function pathsOf(folder: string, { name }: LiveCase) {
  const at = (file: string) => join(folder, name.replace(" ", "_"), file);
  const numbers = { theirNumbers: at("theirs.safetensors"), ourNumbers: at("ours.safetensors") };
  return { base: at("base"), theirs: at("theirs"), ours: at("ours"), ...numbers };
}

/** An adapter of our own making: other layers and length than PEFT's, gates of either sign, every fifth closed. */
async function writeOurs(base: string, folder: string, { seed, ours }: LiveCase): Promise<void> {
  const { dtype, ...size } = ours;
  const model = await readModelConfig(base);
  const json = { peft_type: "ADAPTION_PROMPT", task_type: "CAUSAL_LM", ...size };
  const { config } = parseAdaptionPromptConfig(json, "case");
  const shape = {
    promptLength: size.adapter_len,
    adaptedLayers: size.adapter_layers,
    gateSharing: "scalar",
    gateActivation: "none",
    outputBiasTimes: "twice",
  } as const;
  const layout = adapterLayout(shape, model);
  const params = initParameters(layout.table, seed);
  for (const { layer, gate } of layerParts(layout)) {
    params[gate.offset] = uniform(seed, layer, 1) < 0.2 ? 0 : 3 * uniform(seed, layer, 2) - 1.5;
  }
  await saveAdapter(folder, { config, layout, params, dtype });
}

/** Computes what PEFT computed and compares: logits and loss to 1e-5 (of the largest above 1), gradients to 1e-5 of the largest. */
async function expectAgreement(
  name: string,
  folders: { readonly base: string; readonly adapter: string },
  { sequences }: LiveCase,
  report: unknown,
  numbers: string,
): Promise<void> {
  expect(report, "every tensor reached PEFT").toMatchObject({ missing: [], unexpected: [], different: [] });
  const { loss } = report as { loss: number };
  const { model, adapter } = await openBoth(folders);
  const { tensors } = parseSafetensors(new Uint8Array(await readFile(numbers)), numbers);
  const logits = new Float32Array(tensors.get("logits")?.bytes.slice().buffer ?? new ArrayBuffer());
  tensors.delete("logits");
  const { params: theirs } = readAdapterTensors(tensors, adapter.layout, numbers);
  const cell = packCell(tokenSet(sequences), [...sequences.keys()]);
  const own = await tokenLogits(model, adapter, cell);
  const labelled = cell.rows_R.length;
  const { lossSum, gradient } = await cellGradient(model, adapter, cell, 1 / labelled);
  const { prompts, gates } = partsOf(adapter);
  const of = (all: Float32Array, indices: readonly number[]) => Float32Array.from(indices, (i) => all[i] ?? Number.NaN);
  const apart = (indices: readonly number[]) => largestDifference(of(gradient, indices), of(theirs, indices));
  const found: Readonly<Record<string, number>> = {
    logits: largestDifference(own, logits) / Math.max(1, largestMagnitude(logits)),
    loss: Math.abs(lossSum / labelled - loss) / Math.max(1, loss),
    // A lone gate's gradient may be a small rest of large terms; the gradient as a whole is not.
    gates: apart(gates) / largestMagnitude(theirs),
    prompts: apart(prompts) / (largestMagnitude(of(theirs, prompts)) || 1), // PEFT's are 0 if all gates are
  };
  for (const [part, value] of Object.entries(found)) expect(value, `${name}: ${part}`).toBeLessThanOrEqual(1e-5);
}

function tokenSet(sequences: LiveCase["sequences"]): TokenSet {
  const offsets = [0];
  for (const { ids } of sequences) offsets.push((offsets.at(-1) ?? 0) + ids.length);
  const target = sequences.flatMap(({ ids, firstTarget }) => ids.map((_, i) => (i >= firstTarget ? 1 : 0)));
  return {
    ids: Int32Array.from(sequences.flatMap(({ ids }) => ids)),
    target: Uint8Array.from(target),
    offsets: Float64Array.from(offsets),
    hash: "",
  };
}

interface Peft {
  /** Answers come in the order of the questions. @throws Error with what went wrong in Python. */
  ask(request: object): Promise<unknown>;
  close(): Promise<void>;
}

function openPeft(): Peft {
  const script = fileURLToPath(new URL("live_peft.py", import.meta.url));
  const env = { ...process.env, HF_HUB_OFFLINE: "1" };
  const child: ChildProcess = spawn(python, [script], { env, stdio: ["pipe", "pipe", "inherit"] });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error("Cannot talk to Python: it has no pipes");
  const waiting: { resolve: (answer: unknown) => void; reject: (error: Error) => void }[] = [];
  createInterface({ input: stdout }).on("line", (line) => {
    const { ok, error } = JSON.parse(line) as { ok?: unknown; error?: string };
    const asked = waiting.shift();
    if (error === undefined) asked?.resolve(ok);
    else asked?.reject(new Error(error));
  });
  const ended = once(child, "close");
  child.once("close", () => {
    for (const { reject } of waiting) reject(new Error("Cannot go on: Python ended"));
  });
  stdin.on("error", () => {});
  return {
    ask(request) {
      stdin.write(`${JSON.stringify(request)}\n`);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    async close() {
      stdin.end();
      await ended;
    },
  };
}
