import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { adapterConfig, tinyAdapter, tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import { serializeSafetensors } from "../formats/safetensors.ts";
import { serializeTorchFile } from "../formats/torch_file.ts";
import { loadAdapter, loadWeights, readAdapter, readModelConfig, saveAdapter, saveAdapters } from "../node.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-parts-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const config = tinyConfig();
const [model, adapter] = [join(scratch, "model"), join(scratch, "adapter")];
const tensors = new Map([["a", { dtype: "F32", shape: [1], bytes: new Uint8Array(4) }] as const]);
const safetensors = serializeSafetensors(tensors);
const torch = serializeTorchFile(tensors);
const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"5".repeat(64)}\nsize 12\n`;
const saved = { ...tinyAdapter(config), config: adapterConfig() };

beforeAll(async () => {
  mkdirSync(model);
  writeTinyModel(model, config, tinyImage(config));
  await saveAdapter(adapter, saved);
});

let count = 0;
function copyWith(folder: string, files: Record<string, Uint8Array | string>): string {
  const copy = join(scratch, `copy-${count++}`);
  cpSync(folder, copy, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(copy, name, ".."), { recursive: true });
    writeFileSync(join(copy, name), content);
  }
  return copy;
}
const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => "not refused",
    (error: Error) => error.message,
  );

/** Parts without which a model or an adapter is another one. */
const parts: Record<string, Uint8Array | string> = {
  "visual.safetensors": safetensors,
  "Vision_Tower.SafeTensors": safetensors,
  "mm_projector.bin": torch,
  "non_lora_trainables.bin": torch,
  "mmproj-model-f16.gguf": "GGUF\u0003\0\0\0",
  "audio_encoder.onnx": "x",
  "delta.pt": torch,
  "new_embeddings.safetensors": safetensors,
  "value_head.pth": torch,
  "more.ckpt": torch,
  "adapter_model-00001-of-00002.safetensors": safetensors,
  "adapter_model.fp16.safetensors": safetensors,
  "model (1).safetensors": safetensors,
  "pointed.bin": pointer,
  "vision_tower/model.safetensors": safetensors,
  "mm_projector/weights.bin": torch,
};

/** What lies beside models and adapters on the hub and after a training, and changes nothing. */
const harmless: Record<string, Uint8Array | string> = {
  "pytorch_model.bin": torch,
  "pytorch_model-00001-of-00002.bin": torch,
  "pytorch_model.fp16.bin": torch,
  "consolidated.safetensors": safetensors,
  "consolidated-00001-of-00002.safetensors": safetensors,
  "consolidated.00.pth": torch,
  "model.fp16.safetensors": safetensors,
  "model.bf16-00001-of-00002.safetensors": safetensors,
  "tf_model.h5": "x",
  "flax_model.msgpack": "x",
  "rust_model.ot": "x",
  "model.onnx": "x",
  "model-Q4_K_M.gguf": "GGUF\u0003\0\0\0",
  "ggml-model-q4_0.bin": "tjgg",
  "openvino_model.bin": "x",
  "tok512.bin": Uint8Array.of(7, 0, 0, 0, 1),
  "optimizer.pt": torch,
  "optimizer.safetensors": safetensors,
  "scheduler.pt": torch,
  "scaler.pt": torch,
  "rng_state.pth": torch,
  "rng_state_0.pth": torch,
  "random_states_0.pkl": torch,
  "training_args.bin": torch,
  "trainer_state.json": "{}",
  "tokenizer.model": "\n\u000e\n\u0005<unk>",
  "preprocessor_config.json": "{}",
  "vision.png": Uint8Array.of(0x89, 0x50),
  "image.py": "",
  "._vision.safetensors": "\0\u0005\u0016\u0007",
  "README.md": "# x",
  "onnx/model.onnx": "x",
  "original/consolidated.00.pth": torch,
  "checkpoint-500/optimizer.pt": torch,
  "images/vision.png": "x",
  "audio/sample.wav": "x",
};

describe("a folder whose weights are more than what is read", () => {
  test.each(Object.entries(parts))(
    "with %s is refused by name, as a model and as an adapter [T-A8]",
    async (name, content) => {
      const [file] = name.split("/");
      const problem = `${JSON.stringify(file)} is a part that is not read, without which this may be another model: move it elsewhere if it does not belong here, or make a folder with links to the files that do`;
      const one = copyWith(model, { [name]: content });
      expect(await messageOf(readModelConfig(one))).toBe(`Cannot use ${one} as a text model: ${problem}`);
      const two = copyWith(adapter, { [name]: content });
      for (const read of [() => loadAdapter(two, config), () => readAdapter(two)]) {
        expect(await messageOf(read())).toBe(`Cannot use ${two} as an adaption prompt: ${problem}`);
      }
    },
  );

  test("a link to a part is one as well [T-A8]", async () => {
    const folder = copyWith(model, {});
    symlinkSync(join(model, "model.safetensors"), join(folder, "vision.safetensors"));
    symlinkSync(model, join(folder, "vision_tower"));
    const message = await messageOf(readModelConfig(folder));
    for (const name of ["vision.safetensors", "vision_tower"]) expect(message).toContain(`- "${name}" is a part`);
  });

  test.each(Object.entries(harmless))("with %s is taken [T-A8]", async (name, content) => {
    expect(await readModelConfig(copyWith(model, { [name]: content }))).toEqual(config);
    const { params } = await loadAdapter(copyWith(adapter, { [name]: content }), config);
    expect(params).toEqual(saved.params);
  });
});

test("an adapter in a model's folder is refused, since transformers would put it on the model; below it nobody reads it [T-A8]", async () => {
  const inside = copyWith(model, { "adapter_config.json": '{"peft_type": "LORA"}' });
  expect(await messageOf(readModelConfig(inside))).toContain(
    "it holds an adapter (adapter_config.json), which transformers puts on the model: move the adapter to a folder of its own",
  );
  cpSync(join(adapter, "adapter_model.safetensors"), join(inside, "adapter_model.safetensors"));
  expect(await messageOf(readModelConfig(inside))).toContain('- "adapter_model.safetensors" is a part');
  const below = copyWith(model, {});
  cpSync(adapter, join(below, "mine"), { recursive: true });
  expect(await readModelConfig(below)).toEqual(config);
});

test("further adapters in folders below, both formats of one adapter, and its base beside it are taken [T-A8]", async () => {
  const folder = join(scratch, "set");
  const all = { adapterNames: ["default", "vision", "b"], adapter: () => saved };
  await saveAdapters(folder, all);
  writeFileSync(join(folder, "adapter_model.bin"), torch);
  cpSync(model, folder, { recursive: true });
  expect((await loadAdapter(folder, config)).params).toEqual(saved.params);
});

test("shards count by their index: one that it does not name is a part, and beside model.safetensors they are a copy [T-A8]", async () => {
  const shards = copyWith(model, {});
  const names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  renameSync(join(shards, "model.safetensors"), join(shards, names[0]));
  writeFileSync(join(shards, "model.safetensors.index.json"), JSON.stringify({ weight_map: { x: names[0] } }));
  expect(await readModelConfig(shards)).toEqual(config);
  writeFileSync(join(shards, names[1]), safetensors);
  expect(await messageOf(readModelConfig(shards))).toContain(`"${names[1]}" is a part that is not read`);
  writeFileSync(join(shards, "model.safetensors"), readFileSync(join(model, "model.safetensors")));
  expect(await readModelConfig(shards)).toEqual(config);
});

test("if no weights have the name that is read, those that are there are named [T-A8]", async () => {
  const folder = copyWith(model, {});
  renameSync(join(folder, "model.safetensors"), join(folder, "weights.safetensors"));
  expect(await messageOf(loadWeights(folder, config, { weightDtypes: ["f32"] }))).toContain(
    'there is neither model.safetensors nor pytorch_model.bin, nor an index of shards (but "weights.safetensors"): download the model again',
  );
});
