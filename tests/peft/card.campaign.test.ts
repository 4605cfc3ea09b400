/** Model cards as the Hub takes them: their header parsed by a YAML library, and by huggingface_hub if it is installed. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterLayout, adaptionPromptConfig, initParameters, parseModelConfig } from "@zerogate/core";
import { saveAdapter } from "@zerogate/core/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { absentModules, runPython } from "../support/python.ts";

const absent = absentModules("huggingface_hub");
const commit = "0123456789abcdef0123456789abcdef01234567";

/** What a base may be called, and its id on the Hub, if it has one. */
const bases: readonly (readonly [name: string | null, id: string | undefined])[] = [
  ["meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-1B"],
  ["org/name.with.dots_1", "org/name.with.dots_1"],
  ["1.0/2", "1.0/2"],
  ["yes/no", "yes/no"],
  [`/home/me/.cache/huggingface/hub/models--org--a-b/snapshots/${commit}`, "org/a-b"],
  [`/hub/models--gpt2/snapshots/${commit}`, undefined],
  [null, undefined],
  ["", undefined],
  ["base", undefined],
  ["/data/models/base", undefined],
  ["./base", undefined],
  ["../models/base", undefined],
  ["a/b/c", undefined],
  ["org/na--me", undefined],
  ["org/name.git", undefined],
  ["org/-name", undefined],
  ["org/name.", undefined],
  [`org/${"n".repeat(97)}`, undefined],
  ["C:\\models\\base", undefined],
  ["org/name: yes # not", undefined],
  ['x"\nlicense: mine\nbase_model: evil/model', undefined],
  ["org/name\n---\n# Other", undefined],
  ["```\n<script>", undefined],
];

const shapes = [
  { gateSharing: "scalar", gateActivation: "none", library: "peft" },
  { gateSharing: "per-head", gateActivation: "tanh", library: "zerogate" },
] as const;

let folder = "";
const paths: string[] = [];
const cards = bases.flatMap(([name, id]) => shapes.map((shape) => ({ name, id, ...shape })));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zerogate-cards-"));
  const sizes = { vocab_size: 8, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 2, num_attention_heads: 2 };
  const model = parseModelConfig(
    { model_type: "llama", ...sizes, max_position_embeddings: 16, rms_norm_eps: 1e-5 },
    "here",
  );
  for (const [i, { name, gateSharing, gateActivation }] of cards.entries()) {
    const config = adaptionPromptConfig({
      adapterLen: 1,
      adapterLayers: 1,
      taskType: "CAUSAL_LM",
      baseModelNameOrPath: name,
    });
    const layout = adapterLayout({ promptLength: 1, adaptedLayers: 1, gateSharing, gateActivation }, model);
    const path = join(folder, String(i));
    await mkdir(path);
    await saveAdapter(path, {
      config,
      layout,
      params: initParameters(layout.table, 0),
      origin: "step 2 of 3, with the lowest held-out loss, 0.4",
    });
    paths.push(join(path, "README.md"));
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** All that may stand in a header of ours. */
function metadataOf(id: string | undefined, library: string) {
  const base = id === undefined ? {} : { base_model: id, base_model_relation: "adapter" };
  const tags = [...(id === undefined ? [] : [`base_model:adapter:${id}`]), "llama-adapter", "zerogate"];
  return { library_name: library, ...base, pipeline_tag: "text-generation", tags };
}

test("a header holds what is known and nothing else; a base without a name on the Hub is in the text [T-D12]", async () => {
  for (const [i, { name, id, library }] of cards.entries()) {
    const card = await readFile(paths[i] ?? "", "utf8");
    const [, header = "", text = ""] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(card) ?? [];
    expect(parse(header), String(name)).toEqual(metadataOf(id, library));
    expect(text.includes("Add `base_model` to the header"), String(name)).toBe(id === undefined);
    expect(text).toContain("\nTaken from step 2 of 3, with the lowest held-out loss, 0.4.\n");
    expect(text).not.toContain("evil");
  }
});

describe.skipIf(absent !== "")(`huggingface_hub${absent}`, () => {
  test("reads the same, takes every base for a valid id, and writes the same again [T-D12]", async () => {
    const list = join(folder, "cards.json");
    await writeFile(list, JSON.stringify(paths));
    await runPython(fileURLToPath(new URL("card_check.py", import.meta.url)), list);
    const read = JSON.parse(await readFile(`${list}.out`, "utf8")) as {
      metadata: object;
      again: object;
      text: string;
    }[];
    expect(read).toHaveLength(cards.length);
    for (const [i, { id, library }] of cards.entries()) {
      expect(read[i]?.metadata).toEqual(metadataOf(id, library));
      expect(read[i]?.again).toEqual(metadataOf(id, library));
      expect(read[i]?.text).toContain("# Adapter");
    }
  });
});
