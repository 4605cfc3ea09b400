/** `loadAdapter` of files: of the original code, of litgpt and lit-llama, and of what is no adapter. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { tinyAdapter, tinyConfig } from "../../test/tiny_model.ts";
import { foreignTensors } from "../adapter/files/dialects.ts";
import { layerParts } from "../adapter/kinds/adaption_prompt.ts";
import { partNumbers } from "../adapter/parameters.ts";
import { InputError } from "../errors.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import { loadAdapter, readModelConfig, saveAdapter, writeAdapterFile } from "../node.ts";

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "zerogate-dialects-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);

const config = tinyConfig({ layers: 3 });
const trained = tinyAdapter(config, { gateSharing: "per-head", gateActivation: "tanh", adaptedLayers: 2 });

async function problemsOf(path: string, model = config): Promise<readonly string[]> {
  const error = await loadAdapter(path, model).catch((thrown: unknown) => thrown);
  expect(error, path).toBeInstanceOf(InputError);
  expect((error as InputError).message).toContain(path);
  return (error as InputError).problems;
}

describe.each(["pth", "safetensors", "unnamed"])("a file called adapter.%s", (ending) => {
  test.each([
    ["original", "tanh", 1],
    ["litgpt", "none", 0],
    ["lit-llama", "none", 0],
  ] as const)("of %s is known by its content", async (dialect, gateActivation, assumes) => {
    const path = at(`${dialect}.${ending}`);
    await writeAdapterFile(at("written.pth"), trained, dialect);
    const written = foreignTensors(trained, dialect);
    if (ending === "unnamed") writeFileSync(path, serializeSafetensors(written));
    else copyFileSync(at("written.pth"), path); // torch's bytes under either name
    rmSync(at("written.pth"));
    const loaded = await loadAdapter(path, config);
    expect(loaded.shape).toMatchObject({ promptLength: 3, adaptedLayers: 2, gateSharing: "per-head", gateActivation });
    expect(loaded.params).toEqual(trained.params);
    expect(loaded.config).toMatchObject({ adapterLen: 3, adapterLayers: 2 });
    expect(loaded.report.matched).toHaveLength(4);
    expect(loaded.warnings.filter((warning) => /tanh/.test(warning))).toHaveLength(assumes);
  });
});

test("what an original file leaves open is taken as it is said, without a word", async () => {
  const path = at("said.pth");
  await writeAdapterFile(path, trained, "original");
  const { shape, warnings } = await loadAdapter(path, config, { originalGate: "none", promptLength: 3 });
  expect(shape.gateActivation).toBe("none");
  expect(warnings.join()).not.toContain("tanh");
});

test("an adapter of another base is refused with what differs", async () => {
  const path = at("other.pth");
  await writeAdapterFile(path, trained, "litgpt");
  expect(await problemsOf(path, tinyConfig({ layers: 4 }))).toEqual([
    "the adapter is for a base with layers 3, this one has 4",
  ]);
  const heads = tinyConfig({ layers: 3, heads: 2, kvHeads: 2 });
  expect(await problemsOf(path, heads)).toContain(
    `the adapter is for a base with query heads ${config.heads}, this one has 2`,
  );
  const qwen3 = { ...config, modelType: "qwen3", qkNorm: "head" } as const;
  expect(await problemsOf(path, qwen3)).toEqual([
    "it was trained without norms on the keys of prompts, which a qwen3 has",
  ]);
  const gpt2 = { ...config, modelType: "gpt2" } as const;
  expect(await problemsOf(path, gpt2)).toContainEqual(expect.stringMatching(/self_attn, this one is a gpt2$/));
});

test("what is no such file is refused as what it is", async () => {
  const zeros: Tensor = { dtype: "F32", shape: [2], bytes: new Uint8Array(8) };
  const query = foreignTensors(trained, "original");
  const cases: [string, Uint8Array | string, RegExp][] = [
    [
      "v2.pth",
      serializeTorchFile(new Map([...query, ["layers.0.attention.lora_wq_l1.weight", zeros]])),
      /LLaMA-Adapter V2/,
    ],
    ["base.pth", serializeTorchFile(new Map([["tok_embeddings.weight", zeros]])), /it holds no tensor of an adapter/],
    ["page.pth", "<!DOCTYPE html><title>Sign in</title>", /it is a web page/],
    ["pointer.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", /a Git LFS pointer/],
    ["empty.pth", "", /empty/],
    ["cut.safetensors", serializeSafetensors(query).subarray(0, 90), /header/],
  ];
  for (const [name, bytes, says] of cases) {
    writeFileSync(at(name), bytes);
    expect((await problemsOf(at(name))).join("\n"), name).toMatch(says);
  }
  await saveAdapter(at("peft"), {
    ...trained,
    config: (await loadAdapter(await litFile(), config)).config,
  });
  const weights = join(at("peft"), "adapter_model.safetensors");
  expect((await problemsOf(weights)).join()).toContain("for an adapter of PEFT give its folder");
  expect((await loadAdapter(at("peft"), config)).params).toEqual(trained.params);
  await expect(loadAdapter(at("nowhere"), config)).rejects.toThrow(InputError);
});

async function litFile(): Promise<string> {
  const path = at("lit.pth");
  if (!existsSync(path)) await writeAdapterFile(path, trained, "lit-llama");
  return path;
}

const golden = absent("golden/orig_llama_mha");
test.skipIf(golden !== "")(
  `files of the programs themselves are loaded, V2 and images refused by name${golden}`,
  async () => {
    const model = await readModelConfig(sharedPath("golden/llama_mha/base"));
    const folder = sharedPath("golden/orig_llama_mha");
    const [pth, safe, lit] = ["adapter_orig.pth", "adapter_orig.safetensors", "lit_model.pth.adapter"].map((name) =>
      loadAdapter(join(folder, name), model, { originalGate: "none" }),
    );
    expect((await pth)?.shape).toMatchObject({ promptLength: 5, adaptedLayers: 2, gateSharing: "per-head" });
    expect((await safe)?.params).toEqual((await pth)?.params);
    expect((await lit)?.params).toEqual((await pth)?.params);
    const more = ["v2_bias_norm", "v2_output_scale"].flatMap((name) => {
      const place = sharedPath(`golden/${name}`);
      return existsSync(place)
        ? readdirSync(place)
            .filter((file) => /\.pth/.test(file))
            .map((file) => join(place, file))
        : [];
    });
    for (const path of more) expect((await problemsOf(path, model)).join(), path).toMatch(/as LLaMA-Adapter V2 does/);
    const released = sharedPath("golden/multimodal_query/released_layout.pth");
    expect((await problemsOf(released, model)).join()).toContain("it sees images and does not say through which tower");
  },
);

test("gates of one number a layer, older than heads, are scalar", async () => {
  const scalar = tinyAdapter(config, { gateSharing: "scalar", gateActivation: "none", adaptedLayers: 1 });
  const [{ layer, prompt, gate }] = layerParts(scalar.layout);
  const tensor = (values: Float32Array, ...shape: number[]): Tensor => ({
    dtype: "F32",
    shape,
    bytes: new Uint8Array(values.slice().buffer),
  });
  const stem = `transformer.h.${layer}.attn`;
  const tensors = new Map([
    [`${stem}.adapter_wte.weight`, tensor(partNumbers(prompt, scalar.params), 3, config.hiddenSize)],
    [`${stem}.gating_factor`, tensor(partNumbers(gate, scalar.params), 1)],
  ]);
  writeFileSync(at("old.pth"), serializeTorchFile(tensors));
  const { shape, params } = await loadAdapter(at("old.pth"), config);
  expect(shape).toMatchObject({ gateSharing: "scalar", gateActivation: "none" });
  expect(params).toEqual(scalar.params);
});
