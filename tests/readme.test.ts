/** The README's library example runs as written, on built packages, with the model that comes with zerogate. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { adapterLayout, initAdapter, parseAdaptionPromptConfig } from "@zerogate/core";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { afterAll, expect, test } from "vitest";

const world = fileURLToPath(new URL("../packages/trainer/world/base", import.meta.url));
/** Inside a package that depends on core, so that plain Node resolves the imports. */
const folder = mkdtempSync(fileURLToPath(new URL("../packages/trainer/readme-", import.meta.url)));
afterAll(() => rmSync(folder, { recursive: true }));

test("the README's example of core as a library", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, example] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  const model = await readModelConfig(world);
  const shape = { promptLength: 4, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" } as const;
  const layout = adapterLayout(shape, model);
  const params = initAdapter(layout, 1);
  for (const { gate } of layout.places) params[gate] = 0.5;
  const json = { peft_type: "ADAPTION_PROMPT", adapter_len: 4, adapter_layers: 2, target_modules: "self_attn" };
  const adapterFolder = join(folder, "adapter");
  const { config } = parseAdaptionPromptConfig(json, "test");
  await saveAdapter(adapterFolder, { config, layout, params });

  const file = join(folder, "example.mjs");
  const given = `const modelFolder = ${JSON.stringify(world)};\nconst adapterFolder = ${JSON.stringify(adapterFolder)};\n`;
  const check = `\nconsole.log(JSON.stringify({ length: adapted.length, differs: adapted.some((z, i) => z !== base[i]) }));\n`;
  writeFileSync(file, `${given}${example}${check}`);
  const { stdout } = await promisify(execFile)(process.execPath, [file]);
  const lines = stdout.trim().split("\n");
  expect(JSON.parse(lines.at(-1) ?? "")).toEqual({ length: 3 * model.vocabSize, differs: true });
  expect(lines.length - 1).toBeLessThanOrEqual(8);
});
