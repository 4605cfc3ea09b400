import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AdaptionPromptConfig } from "../adapter/files/config.ts";
import { adapterTensors } from "../adapter/files/peft.ts";
import { adapterLayout, layerParts } from "../adapter/kinds/adaption_prompt.ts";
import type { AdapterShape } from "../adapter/layout.ts";
import { InputError } from "../errors.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { parseModelConfig } from "../model/hf_config.ts";
import { loadAdapter, saveAdapter } from "./adapter_files.ts";
import { readModelConfig } from "./model_config.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-adapter-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const model = parseModelConfig(
  {
    model_type: "llama",
    vocab_size: 64,
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 4,
    num_attention_heads: 4,
  },
  "config.json",
);
const config: AdaptionPromptConfig = {
  peftType: "ADAPTION_PROMPT",
  targetModules: "self_attn",
  adapterLen: 3,
  adapterLayers: 2,
  taskType: "CAUSAL_LM",
  inferenceMode: false,
  baseModelNameOrPath: "some/base",
  revision: null,
  autoMapping: null,
};
const shape: AdapterShape = { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" };

function adapterOf(adapterShape: AdapterShape) {
  const layout = adapterLayout(adapterShape, model);
  return { config, layout, params: Float32Array.from({ length: layout.length }, (_, i) => Math.cos(i)) };
}

async function refusal(folder: string): Promise<string> {
  const error = await loadAdapter(folder, model).catch((thrown: unknown) => thrown);
  return error instanceof InputError ? error.message : `not refused: ${String(error)}`;
}

test("an adapter is not saved below a file, and the folders of one that is missing are made", async () => {
  const saved = { ...adapterOf(shape), metadata: {} };
  await writeFile(join(scratch, "file"), "");
  await expect(saveAdapter(join(scratch, "file", "adapter"), saved)).rejects.toMatchObject({ code: "ENOTDIR" });
  const deep = join(scratch, "a", "b", "c", "d", "e");
  await saveAdapter(deep, saved);
  expect(await readdir(deep)).toContain("adapter_model.safetensors");
});

test("an adapter is loaded as it was saved, with its metadata and nothing left over in the folder [P5]", async () => {
  const folder = join(scratch, "plain");
  const saved = adapterOf(shape);
  await saveAdapter(folder, { ...saved, metadata: { "zerogate.step": "12" } });
  expect((await readdir(folder)).toSorted()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
  const loaded = await loadAdapter(folder, model);
  expect(loaded.params).toEqual(saved.params);
  expect(loaded.shape).toEqual(shape);
  expect(loaded.config).toEqual({ ...config, inferenceMode: true });
  expect(loaded.metadata).toEqual({ "zerogate.step": "12" });
  expect(loaded.warnings).toEqual([]);
});

test("per-head tanh gates come back as such; half of the digits are kept in bf16", async () => {
  const wide: AdapterShape = { ...shape, gateSharing: "per-head", gateActivation: "tanh" };
  const saved = adapterOf(wide);
  await saveAdapter(join(scratch, "wide"), { ...saved, dtype: "bf16" });
  const loaded = await loadAdapter(join(scratch, "wide"), model);
  expect(loaded.shape).toEqual(wide);
  for (const [i, value] of saved.params.entries()) expect(Math.abs(loaded.params[i] - value)).toBeLessThan(2 ** -8);
});

test("the model card names a base of the Hub, and no path, which could add YAML", async () => {
  const cardOf = async (baseModelNameOrPath: string) => {
    await saveAdapter(join(scratch, "card"), { ...adapterOf(shape), config: { ...config, baseModelNameOrPath } });
    return await readFile(join(scratch, "card", "README.md"), "utf8");
  };
  const card = await cardOf("org/name");
  const header =
    'library_name: peft\nbase_model: "org/name"\nbase_model_relation: adapter\npipeline_tag: text-generation\n';
  expect(card.startsWith(`---\n${header}tags:\n- "base_model:adapter:org/name"\n- llama-adapter\n`)).toBe(true);
  expect(card).toContain("3 prompt tokens in each of the last 2 layers, scalar gate, 50 trained numbers");
  const local = await cardOf('x"\nlicense: mine');
  expect(
    local.startsWith(
      "---\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- llama-adapter\n- zerogate\n---\n",
    ),
  ).toBe(true);
  expect(local).toContain("Its base is a folder of the machine");
});

test("a config that leaves the module open is stored with the layout's", async () => {
  const folder = join(scratch, "open");
  await saveAdapter(folder, { ...adapterOf(shape), config: { ...config, targetModules: null } });
  expect((await loadAdapter(folder, model)).config.targetModules).toBe("self_attn");
  expect(await readFile(join(folder, "adapter_config.json"), "utf8")).toContain('"target_modules": "self_attn"');
});

test("a config that contradicts the layout is a fault of the caller and writes nothing", async () => {
  const folder = join(scratch, "contradiction");
  const other = { ...adapterOf(shape), config: { ...config, targetModules: "attn" } };
  await expect(saveAdapter(folder, other)).rejects.toThrow("its config says attn, its layout self_attn");
  await expect(saveAdapter(folder, { ...adapterOf(shape), config: { ...config, adapterLen: 4 } })).rejects.toThrow(
    RangeError,
  );
  expect(existsSync(folder)).toBe(false);
});

async function copy(name: string): Promise<string> {
  const folder = join(scratch, name);
  await saveAdapter(folder, adapterOf(shape));
  return folder;
}

describe("what is refused", () => {
  test("a weight file cut off at any byte of its header, and some later [D5]", async () => {
    const folder = await copy("truncated");
    const path = join(folder, "adapter_model.safetensors");
    const bytes = await readFile(path);
    for (let length = 0; length < bytes.length; length += length < 480 ? 7 : 31) {
      await writeFile(path, bytes.subarray(0, length));
      expect(await refusal(folder)).toContain(`Cannot read ${path}`);
    }
  });

  test("no weights, and a pickle that torch did not write", async () => {
    const folder = await copy("pickle");
    await rm(join(folder, "adapter_model.safetensors"));
    expect(await refusal(folder)).toContain("there is neither adapter_model.safetensors nor adapter_model.bin");
    await writeFile(join(folder, "adapter_model.bin"), "x");
    expect(await refusal(folder)).toContain('adapter_model.bin: it is text that begins with "x"');
    expect(await refusal(join(scratch, "nowhere"))).toMatch(/nowhere: there is no such folder$/);
  });

  test("another number of layers in the base, in config and keys [D5]", async () => {
    const folder = await copy("layers");
    const larger = { ...model, layers: 5 };
    await expect(loadAdapter(folder, larger)).rejects.toThrow(
      "its highest prompt is in layer 3, which is the last of a base with 4 layers; this base has 5",
    );
    await expect(loadAdapter(folder, { ...model, layers: 1 })).rejects.toThrow(
      "adapter_layers is 2, the model has 1 layers: use 1 to 1",
    );
  });

  test("a config that is not JSON, has a key twice, or is another method's", async () => {
    const folder = await copy("config");
    const write = (text: string) => writeFile(join(folder, "adapter_config.json"), text);
    await write("{");
    expect(await refusal(folder)).toContain("it ends after 1 bytes in the middle");
    await write('{"peft_type": "ADAPTION_PROMPT", "adapter_len": 3, "adapter_len": 4, "adapter_layers": 2}');
    expect(await refusal(folder)).toContain('Duplicate key "adapter_len"');
    await write('{"peft_type": "LORA"}');
    expect(await refusal(folder)).toContain('peft_type is "LORA"');
  });

  test("a folder in place of a file", async () => {
    const folder = await copy("folder");
    await rm(join(folder, "adapter_model.safetensors"));
    await mkdir(join(folder, "adapter_model.safetensors"));
    expect(await refusal(folder)).toContain("it is a folder: needed is a regular file");
  });
});

const golden = fileURLToPath(new URL("../../../../../shared/golden", import.meta.url));
describe.skipIf(!existsSync(golden))("adapters that PEFT 0.21 saved (skipped without shared/golden)", () => {
  const cases = ["llama_mha", "llama_gqa", "llama3_rope", "mistral_gqa", "gpt2"];

  test.each(cases)("%s loads with the gates of meta.json and is saved again byte for byte [A3, P20]", async (name) => {
    const base = await readModelConfig(join(golden, name, "base"));
    const loaded = await loadAdapter(join(golden, name, "adapter"), base);
    const layout = adapterLayout(loaded.shape, base);
    const meta: { gates?: Record<string, number> } = JSON.parse(readFileSync(join(golden, name, "meta.json"), "utf8"));
    const module = (layer: number) =>
      name === "gpt2" ? `transformer.h.${layer}.attn` : `model.layers.${layer}.self_attn`;
    const found = layerParts(layout).map(({ layer, gate }) => [
      `base_model.model.${module(layer)}.adaption_gate`,
      loaded.params[gate.offset],
    ]);
    expect(Object.fromEntries(found)).toEqual(meta.gates);
    expect(loaded.warnings).toEqual([]);
    const folder = join(scratch, name);
    await saveAdapter(folder, { ...loaded, layout });
    const [ours, theirs] = await Promise.all(
      [folder, join(golden, name, "adapter")].map((at) => readFile(join(at, "adapter_model.safetensors"))),
    );
    expect(ours.equals(theirs)).toBe(true);
  });

  test("on a base with an output bias it is once, with a warning, unless somebody says so; what is saved says it", async () => {
    const base = await readModelConfig(join(golden, "llama_bias", "base"));
    const theirs = join(golden, "llama_bias", "adapter");
    const silent = await loadAdapter(theirs, base);
    expect(silent.warnings).toEqual([expect.stringContaining("once is taken, outputBias twice is what PEFT computes")]);
    for (const outputBiasTimes of ["once", "twice"] as const) {
      const loaded = await loadAdapter(theirs, base, { outputBiasTimes });
      expect(loaded.warnings).toEqual([]);
      const folder = join(scratch, outputBiasTimes);
      await saveAdapter(folder, { ...loaded, layout: adapterLayout(loaded.shape, base) });
      const again = await loadAdapter(folder, base, { outputBiasTimes: "once" });
      expect(again).toEqual({ ...loaded, config: { ...loaded.config, inferenceMode: true } });
      const card = readFileSync(join(folder, "README.md"), "utf8");
      expect(card.includes("PEFT adds it twice"), "the card warns who would load it in PEFT").toBe(
        outputBiasTimes === "once",
      );
    }
  });

  test("an adapter of a four-layer base is refused on a five-layer base [D5]", async () => {
    const base = await readModelConfig(join(golden, "llama_gqa", "base"));
    await cp(join(golden, "llama_gqa", "adapter"), join(scratch, "five"), { recursive: true });
    await expect(loadAdapter(join(scratch, "five"), { ...base, layers: 5 })).rejects.toThrow("this base has 5");
  });
});

test("an adapter in F64 or under wrapped names is read with a warning, and its numbers are kept [T-C6]", async () => {
  const saved = adapterOf(shape);
  const plain = await loadedFrom(
    "c6-plain",
    saved,
    (tensor) => tensor,
    (name) => name,
  );
  const changed = await loadedFrom(
    "c6-changed",
    saved,
    ({ shape: dims, bytes }) => {
      const wide = Float64Array.from(new Float32Array(bytes.slice().buffer));
      return { dtype: "F64", shape: dims, bytes: new Uint8Array(wide.buffer) };
    },
    (name) => `module._orig_mod.${name}`,
  );
  expect(changed.params).toEqual(plain.params);
  expect(plain.warnings).toEqual([]);
  expect(changed.warnings).toEqual([
    expect.stringContaining('4 names of tensors are read without "module._orig_mod."'),
    expect.stringContaining("4 tensors in F64 are read as F32"),
  ]);
});

async function loadedFrom(
  name: string,
  saved: ReturnType<typeof adapterOf>,
  change: (tensor: Tensor) => Tensor,
  rename: (key: string) => string,
) {
  const folder = join(scratch, name);
  await saveAdapter(folder, saved);
  const tensors = [...adapterTensors(saved.layout, saved.params)];
  const changed = new Map(tensors.map(([key, tensor]) => [rename(key), change(tensor)]));
  await writeFile(join(folder, "adapter_model.safetensors"), serializeSafetensors(changed, { format: "pt" }));
  return await loadAdapter(folder, model);
}
