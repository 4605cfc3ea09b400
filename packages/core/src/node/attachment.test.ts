/** Which rule prompts attach by stands in the files of adapters whose base PEFT does not know, and in no others. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyBases } from "../../test/tiny_bases.ts";
import { adapterConfig, tinyAdapter, tinyConfig } from "../../test/tiny_model.ts";
import { adapterMetadata } from "../adapter/files/peft.ts";
import { InputError } from "../errors.ts";
import { parseSafetensors, serializeSafetensors } from "../formats/safetensors.ts";
import { loadAdapter, readAdapter, saveAdapter } from "./adapter_files.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-attachment-"));
afterAll(() => rmSync(folder, { recursive: true }));

const peft = ["llama", "mistral", "gpt2"];
const fileOf = (path: string) => join(path, "adapter_model.safetensors");
const stored = (path: string) => parseSafetensors(new Uint8Array(readFileSync(fileOf(path))), path);

test.each(tinyBases.map(({ title, changes }) => [title, changes] as const))(
  "%s: in files, and kept by who reads them without the base",
  async (title, changes) => {
    const config = tinyConfig(changes);
    const own = join(folder, title);
    await saveAdapter(own, { config: adapterConfig(), ...tinyAdapter(config) });
    const { metadata } = stored(own);
    expect(metadata.get("zerogate.attachment")).toBe(peft.includes(config.modelType) ? undefined : "1");
    const card = readFileSync(join(own, "README.md"), "utf8");
    expect(card.includes("zerogate.attachment")).toBe(!peft.includes(config.modelType));
    const { config: read, layout, params } = await readAdapter(own);
    const again = join(folder, `${title}, again`);
    await saveAdapter(again, { config: read, layout, params });
    expect(readFileSync(fileOf(again))).toEqual(readFileSync(fileOf(own)));
    expect((await loadAdapter(own, config)).metadata).toEqual({});
  },
);

test("an adapter of a base that PEFT knows has PEFT's metadata alone, and one that does not say its rule is loaded", async () => {
  const plain = tinyAdapter(tinyConfig()).layout;
  expect(adapterMetadata(plain.shape, {}, plain.base)).toEqual({ format: "pt" });
  const config = tinyConfig({ modelType: "qwen3", qkNorm: "head" });
  const silent = join(folder, "silent");
  await saveAdapter(silent, { config: adapterConfig(), ...tinyAdapter(config) });
  writeFileSync(fileOf(silent), serializeSafetensors(stored(silent).tensors, { format: "pt" }));
  const { params } = await loadAdapter(silent, config);
  expect(params).toEqual(tinyAdapter(config).params);
});

test("a rule of a later version is refused", async () => {
  const config = tinyConfig({ modelType: "qwen3", qkNorm: "head" });
  const later = join(folder, "later");
  await saveAdapter(later, { config: adapterConfig(), ...tinyAdapter(config) });
  const said = { format: "pt", "zerogate.attachment": "2" };
  writeFileSync(fileOf(later), serializeSafetensors(stored(later).tensors, said));
  const refusal = 'zerogate.attachment is "2", known is 1: use the version of Zerogate that wrote it';
  for (const attempt of [() => loadAdapter(later, config), () => readAdapter(later)]) {
    const error: unknown = await attempt().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InputError);
    expect(String(error)).toContain(refusal);
  }
});
