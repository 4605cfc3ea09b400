/**
 * Every architecture, written by the Python package gguf from our golden bases as llama.cpp's converter writes them, and read
 * back: the weights are to the bit those of a folder with the same numbers, and configs agree.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const python = process.env["ZEROGATE_PYTHON"];
const script = fileURLToPath(new URL("../../test/make_gguf_values.py", import.meta.url));

function withoutGguf(): string {
  if (python === undefined) return " (skipped: set ZEROGATE_PYTHON to a Python with gguf)";
  try {
    execFileSync(python, ["-c", "import gguf, safetensors"], { stdio: "ignore" });
    return "";
  } catch {
    return " (skipped: ZEROGATE_PYTHON names no Python with gguf and safetensors)";
  }
}
const reason = withoutGguf();

const scratch = mkdtempSync(join(tmpdir(), "zerogate-gguf-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const bases: [golden: string, type: string][] = [
  ["llama_gqa", "Q8_0"],
  ["llama3_rope", "Q4_0"],
  ["mistral_gqa", "F16"],
  ["families/qwen3", "Q4_1"],
  ["families/gemma2", "Q5_0"],
  ["families/gemma3_text", "BF16"],
  ["families/phi3", "Q5_1"],
  ["families/phi3_longrope", "Q8_0"],
  ["families/stablelm", "F16"],
  ["families/granite", "Q8_0"],
  ["families/olmo2", "BF16"],
  ["families/olmo3", "Q8_0"],
  ["families/smollm3", "F32"],
  ["families/gpt_neox", "Q8_0"],
  ["gpt2", "Q8_0"],
  ["families/ministral3", "Q4_0"],
  ["families/mixtral", "Q8_0"],
  ["families/qwen3_moe", "Q4_0"],
];

describe.each(bases)("%s in %s", (golden, type) => {
  const missing = reason || absent(`golden/${golden}`);
  test.skipIf(missing !== "")(
    `its weights and config are those of the folder${missing} [M-gguf-architectures]`,
    async () => {
      const out = join(scratch, golden.replaceAll("/", "-"));
      execFileSync(python ?? "", [script, "convert", sharedPath(`golden/${golden}/base`), out, type], {
        stdio: "ignore",
      });
      const warnings: string[] = [];
      const options = { onWarning: (warning: string) => warnings.push(warning), strictTensors: true };
      const read = await readModelConfig(join(out, "model.gguf"), options);
      const expected = await readModelConfig(join(out, "folder"));
      expect(warnings).toEqual([]);
      // Mistral without windows is Llama, also by name.
      const modelType = golden === "mistral_gqa" ? "llama" : expected.modelType;
      expect(read).toEqual({ ...expected, modelType, bosTokenId: 1, eosTokenIds: [2] });
      const [found, wanted] = await Promise.all([
        loadWeights(join(out, "model.gguf"), read, { weightDtypes: ["f32"] }),
        loadWeights(join(out, "folder"), expected, { weightDtypes: ["f32"] }),
      ]);
      expect(found.places).toEqual(wanted.places);
      expect(Buffer.compare(new Uint8Array(found.bytes), new Uint8Array(wanted.bytes))).toBe(0);
    },
  );
});
