/** A language model in the files of a larger one: the same numbers, whichever way its tensors are named. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { tinyAdapter, tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import { adaptedBase } from "../adapter/layout.ts";
import { parseSafetensors, serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-inner-"));
afterAll(() => rmSync(folder, { recursive: true }));

const changes = { modelType: "ministral3", normEps: 1e-6, queryGrowth: { beta: 0.1, originalContext: 8 } };
const config = tinyConfig(changes);
const plain = join(folder, "plain");
mkdirSync(plain);
writeTinyModel(plain, config, tinyImage(config));

/** The plain model's files as those of a Mistral 3, which has more tensors than the language model. */
function writeLarger(name: string, rename: (name: string) => string): string {
  const larger = join(folder, name);
  mkdirSync(larger);
  const text_config: unknown = JSON.parse(readFileSync(join(plain, "config.json"), "utf8"));
  writeFileSync(
    join(larger, "config.json"),
    JSON.stringify({ model_type: "mistral3", text_config, vision_config: {} }),
  );
  const bytes = new Uint8Array(readFileSync(join(plain, "model.safetensors")));
  const { tensors } = parseSafetensors(bytes, "plain");
  const stored = new Map<string, Tensor>([...tensors].map(([own, tensor]) => [rename(own), tensor]));
  const pixel = { dtype: "F32", shape: [2], bytes: new Uint8Array(8) } as const;
  for (const beside of ["vision_tower.patch_conv.weight", "multi_modal_projector.norm.weight"])
    stored.set(beside, pixel);
  writeFileSync(join(larger, "model.safetensors"), serializeSafetensors(stored, { format: "pt" }));
  return larger;
}

test.each([
  ["old", (name: string) => `language_model.${name}`],
  ["new", (name: string) => name.replace(/^model\./, "model.language_model.")],
])(
  "names of the %s spelling are those of the language model, and towers are named once [M-ministral3]",
  async (spelling, rename) => {
    const larger = writeLarger(spelling, rename);
    const warnings: string[] = [];
    const read = await readModelConfig(larger, { onWarning: (warning) => warnings.push(warning) });
    expect(read).toEqual({ ...(await readModelConfig(plain)), inside: "mistral3" });
    expect(warnings).toEqual([
      "config.json is of a mistral3 model: what is used is its language model, a ministral3 model, and not what it has for images",
    ]);
    const options = { weightDtypes: ["f32"] } as const;
    expect(await loadWeights(larger, read, options)).toEqual(await loadWeights(plain, config, options));
    await readModelConfig(larger, { strictTensors: true });
    // One adapter fits both: the names in its file are those of the language model.
    expect(adaptedBase(read)).toEqual(adaptedBase(config));
    expect(tinyAdapter(read).layout).toEqual(tinyAdapter(config).layout);
  },
);

test("a tensor of the language model that nothing reads is named as ever", async () => {
  const larger = writeLarger("odd", (name) => `language_model.${name.replace("up_proj", "side_proj")}`);
  const warnings: string[] = [];
  await readModelConfig(larger, { onWarning: (warning) => warnings.push(warning) });
  expect(warnings.at(-1)).toContain("model.layers.*.mlp.side_proj.weight (3)");
});
