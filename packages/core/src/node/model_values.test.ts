/** Checkpoints whose config.json and tensors do not say the same, against numbers of transformers: test/make_model_values.py. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReferenceEngine } from "../engine/reference.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { createModel } from "../model/decoder.ts";
import { parameterCount } from "../model/hf_names.ts";
import { oneSequence, tokenLogits } from "../model/logits.ts";
import { imageBytes } from "../model/weights.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights, weightBytes } from "./model_files.ts";

interface Case {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  readonly logits: readonly number[];
}

const path = fileURLToPath(new URL("../../test/model_values.json", import.meta.url));
const { ids, cases } = JSON.parse(await readFile(path, "utf8")) as { ids: readonly number[]; cases: readonly Case[] };

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-values-"));
});
afterAll(() => rm(scratch, { recursive: true }));

function tensorOf(t: number, name: string, shape: readonly number[], isGemma: boolean): Tensor {
  const mean = /norm|ln_/.test(name) && name.endsWith("weight") && !isGemma ? 1 : 0;
  const length = shape.reduce((a, b) => a * b);
  const values = Float32Array.from({ length }, (_, i) => mean + 0.5 * Math.sin(0.9 * t + 1.7 * i + 0.3));
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
}

test.each(cases)(
  "$name: the numbers are transformers' [T-A1, T-A2, T-C6]",
  async ({ name, config, tensors, logits }) => {
    const folder = join(scratch, name.replaceAll(/\W+/g, "_"));
    await mkdir(folder);
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    const stored = Object.entries(tensors).map(([tensor, shape], t): [string, Tensor] => [
      tensor,
      tensorOf(t, tensor, shape, config["model_type"] === "gemma"),
    ]);
    await writeFile(join(folder, "model.safetensors"), serializeSafetensors(new Map(stored), { format: "pt" }));
    const warnings: string[] = [];
    const model = await readModelConfig(folder, { onWarning: (warning) => warnings.push(warning) });
    const engine = createReferenceEngine();
    const image = await loadWeights(folder, model, { weightDtypes: ["f32"] });
    const own = await tokenLogits(createModel(engine, model, image), undefined, oneSequence(ids));
    for (const [i, value] of logits.entries()) {
      expect(Math.abs(own[own.length - logits.length + i] - value), `logit ${i}`).toBeLessThan(2e-5);
    }
    // Memory plan and count of parameters follow the head that is used.
    expect(await weightBytes(folder, model, { weightDtypes: ["f32"] })).toBe(imageBytes(image));
    expect(4 * parameterCount(model)).toBe(imageBytes(image));
    const words = [
      ["another head", "lm_head.weight is not the embedding"],
      ["biases", "6 of 36 tensors are not part of this llama model"],
    ] as const;
    for (const [title, word] of words) {
      expect(warnings.some((warning) => warning.startsWith(word))).toBe(name.includes(title));
    }
  },
);
