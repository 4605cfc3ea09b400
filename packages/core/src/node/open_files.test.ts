/** A program that opens thousands of folders runs out of files if one of them is left open. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openFilesUnder } from "../../test/open_files.ts";
import { writeTinyModel } from "../../test/tiny_files.ts";
import { adapterConfig, tinyAdapter, tinyConfig, tinyImage } from "../../test/tiny_model.ts";
import { readAdapterFile, writeAdapterFile } from "./adapter_dialects.ts";
import { loadAdapter, saveAdapter } from "./adapter_files.ts";
import { publishDirectory, verifyDirectory } from "./atomic.ts";
import { baseHash } from "./base_identity.ts";
import { readModelConfig } from "./model_config.ts";
import { loadWeights } from "./model_files.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-open-"));
afterAll(() => rmSync(scratch, { recursive: true }));

test.skipIf(process.platform !== "linux")("nothing stays open behind what reads and writes folders", async () => {
  const config = tinyConfig();
  const base = join(scratch, "base");
  mkdirSync(base);
  writeTinyModel(base, config, tinyImage(config));
  const state = tinyAdapter(config);
  const adapter = { config: adapterConfig(), layout: state.layout, params: state.params, metadata: {} };
  const torch = join(scratch, "adapter.pth");
  await writeAdapterFile(torch, tinyAdapter(config, { gateSharing: "per-head", gateActivation: "tanh" }), "original");
  const works: Readonly<Record<string, (i: number) => Promise<unknown>>> = {
    readModelConfig: () => readModelConfig(base),
    loadWeights: () => loadWeights(base, config, { weightDtypes: ["f32"] }),
    baseHash: () => baseHash(base),
    saveAdapter: () => saveAdapter(join(scratch, "adapter"), adapter),
    loadAdapter: () => loadAdapter(join(scratch, "adapter"), config),
    readAdapterFile: () => readAdapterFile(torch),
    publishDirectory: (i) =>
      publishDirectory(join(scratch, `published-${i}`), async (folder) => writeFileSync(join(folder, "a"), "a")),
    verifyDirectory: () => verifyDirectory(join(scratch, "published-0")),
  };
  for (const [name, work] of Object.entries(works))
    for (let i = 0; i < 20; i++) {
      await work(i);
      expect(openFilesUnder(scratch), name).toEqual([]);
    }
});
