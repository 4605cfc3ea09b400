/** The examples of the READMEs run as written, by plain Node on built packages, with the model that comes with zerogate. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  adapterLayout,
  createModel,
  createReferenceEngine,
  initParameters,
  layerParts,
  oneSequence,
  parseAdaptionPromptConfig,
  partNumbers,
  tokenLogits,
} from "@zerogate/core";
import { loadWeights, readModelConfig, saveAdapter } from "@zerogate/core/node";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const world = join(root, "packages/trainer/world");
const modelFolder = JSON.stringify(join(world, "base"));
/** Inside a package that depends on the others, so that plain Node resolves the imports. */
const folder = mkdtempSync(join(root, "packages/zerogate/readme-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a README's first example; `given` is put in front, and what `shown` is worth comes back. */
async function runExample(readme: string, given: string, shown: string, written: Record<string, string> = {}) {
  const [, example = ""] = /```ts\n(.*?)```/s.exec(readFileSync(join(root, readme), "utf8")) ?? [];
  let source = example;
  for (const [text, meant] of Object.entries(written)) {
    expect(source.split(text), `${text} once in the example of ${readme}`).toHaveLength(2);
    source = source.replace(text, meant);
  }
  const file = join(folder, "example.mjs");
  writeFileSync(file, `${given}\n${source}\nprocess.stdout.write("\\n" + JSON.stringify(${shown}));\n`);
  const { stdout } = await promisify(execFile)(process.execPath, [file]);
  return JSON.parse(stdout.split("\n").at(-1) ?? "");
}

const gates = [
  ["scalar", "none"],
  ["scalar", "tanh"],
  ["per-head", "none"],
  ["per-head", "tanh"],
] as const;
test.each(gates)(
  "README.md: core as a library, an adapter of %s gates under %s has the logits that it was trained with [T-A7]",
  async (gateSharing, gateActivation) => {
    const config = await readModelConfig(join(world, "base"));
    const layout = adapterLayout({ promptLength: 4, adaptedLayers: 2, gateSharing, gateActivation }, config);
    const params = initParameters(layout.table, 1);
    for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.75);
    const json = { peft_type: "ADAPTION_PROMPT", adapter_len: 4, adapter_layers: 2, target_modules: "self_attn" };
    const adapterFolder = join(folder, `adapter-${gateSharing}-${gateActivation}`);
    await saveAdapter(adapterFolder, { config: parseAdaptionPromptConfig(json, "test").config, layout, params });

    const engine = createReferenceEngine();
    const weights = await loadWeights(join(world, "base"), config, { weightDtypes: engine.weightDtypes });
    const model = createModel(engine, config, weights);
    const expected = await tokenLogits(model, { layout, params }, oneSequence([1, 2, 3]));
    const plain = await tokenLogits(model, undefined, oneSequence([1, 2, 3]));

    const given = `const modelFolder = ${modelFolder};\nconst adapterFolder = ${JSON.stringify(adapterFolder)};`;
    const shown = "{ adapted: [...adapted], base: [...base] }";
    const found = await runExample("README.md", given, shown);
    expect(found).toEqual({ adapted: [...expected], base: [...plain] });
    expect(found.adapted).not.toEqual(found.base);
  },
);

test("packages/data/README.md: from records to a plan", async () => {
  const shown = "{ cells: cells.length, labelledTokens }";
  const { cells, labelledTokens } = await runExample("packages/data/README.md", "", shown, {
    '"models/llama-2-7b"': modelFolder,
    '"alpaca.json"': JSON.stringify(join(world, "train.json")),
    '"cache"': JSON.stringify(join(folder, "cache")),
  });
  expect(cells).toBeGreaterThanOrEqual(1);
  expect(labelledTokens).toBeGreaterThan(64);
});

test("packages/workers/README.md: one step over several devices", async () => {
  const given = `
    import { adapterLayout, initParameters } from "@zerogate/core";
    import { loadWeights, readModelConfig } from "@zerogate/core/node";
    import { loadTemplate, loadTokenizer, prepareTokens } from "@zerogate/data";
    import { sharedMemory } from "@zerogate/workers";
    const config = await readModelConfig(${modelFolder});
    const weights = await loadWeights(${modelFolder}, config, { weightDtypes: ["f32"], allocate: sharedMemory });
    const shape = { promptLength: 2, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" };
    const layout = adapterLayout(shape, config);
    const params = new Float32Array(new SharedArrayBuffer(4 * layout.length));
    params.set(initParameters(layout.table, 1));
    const tokenizer = await loadTokenizer(${modelFolder});
    const template = await loadTemplate("alpaca");
    const paths = ${JSON.stringify(join(world, "heldout.json"))};
    const { tokens: train } = await prepareTokens({ paths, tokenizer, template, rule: "response", maxLength: 128 });
    const labelledTokens = 20;`;
  const shown = "{ moves: gradient.some((g) => g !== 0), numbers: gradient.length === layout.length }";
  expect(await runExample("packages/workers/README.md", given, shown)).toEqual({ moves: true, numbers: true });
});

test("packages/trainer/README.md: a program trains on the packaged base and answers with its adapter", async () => {
  const out = join(folder, "runs/first");
  const shown = "{ steps, answered, loss: adapter.loss, files: readdirSync(config.out) }";
  const found = await runExample(
    "packages/trainer/README.md",
    'import { readdirSync } from "node:fs"; let answered = "";',
    shown,
    {
      '"runs/first"': `${JSON.stringify(out)}, cacheDir: ${JSON.stringify(join(folder, "cache"))}`,
      "process.stdout.write(text)": "answered += text",
    },
  );
  expect(found).toMatchObject({ steps: 30, answered: expect.stringMatching(/\S/), loss: expect.any(Number) });
  expect(found.loss).toBeLessThan(3);
  expect(found.files).toContain("adapter");
  expect(found.files).not.toContain("report.html");
});
