import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { writeTinyModel } from "../test/tiny_files.ts";
import { tinyConfig, tinyImage } from "../test/tiny_model.ts";
import { loadAdapter } from "./node.ts";

// Beside the sources, so that its imports resolve and vitest compiles it.
const folder = mkdtempSync(fileURLToPath(new URL("../test/readme-", import.meta.url)));
afterAll(() => rmSync(folder, { recursive: true }));

const config = tinyConfig({ qkvBias: true, outputBias: true });
const image = tinyImage(config);
writeTinyModel(folder, config, image);

test("the example of the README runs, learns, and leaves an adapter that loads", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, example] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  const adapterFolder = join(folder, "adapter");
  const here = [
    ['"models/stories260K"', JSON.stringify(folder)],
    ['"out/adapter"', JSON.stringify(adapterFolder)],
    ['"@zerogate/core"', '"../../src/index.ts"'],
    ['"@zerogate/core/node"', '"../../src/node.ts"'],
    ['"@zerogate/core/training"', '"../../src/training.ts"'],
  ] as const;
  let source = `${example}\nexport { adapter, lossPerStep, text };\n`;
  for (const [written, meant] of here) {
    expect(source.split(written), `${written} once in the example`).toHaveLength(2);
    source = source.replace(written, meant);
  }
  const file = join(folder, "example.ts");
  writeFileSync(file, source);
  const { adapter, lossPerStep, text } = await import(/* @vite-ignore */ file);
  expect(lossPerStep).toHaveLength(5);
  expect(lossPerStep[4]).toBeLessThan(lossPerStep[0]);
  expect(text.length).toBeLessThanOrEqual(8);
  expect((await loadAdapter(adapterFolder, config)).params).toEqual(adapter.params);
});
