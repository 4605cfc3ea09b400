/** TensorFlow.js has one current backend a thread; engines on two of them do not notice each other. */
import { cellGradient, createModel, packCell } from "@zerogate/core";
import type { Engine } from "@zerogate/core/engine";
import { expect, test } from "vitest";
import { tinyAdapter, tinyConfig, tinyImage, tinyTokens } from "../../core/test/tiny_model.ts";
import { createEngine } from "./engine.ts";
import { importTensorflow } from "./packages.ts";

// Imported, WebAssembly starts first and is still starting when the other one does.
for (const backend of ["wasm", "cpu"] as const) await importTensorflow(backend);

const config = tinyConfig();
const cell = packCell(tinyTokens(config, [5, 3]), [0, 1]);
const adapter = tinyAdapter(config);
const gradient = (engine: Engine) => cellGradient(createModel(engine, config, tinyImage(config)), adapter, cell, 1);

test("engines on two backends are opened and used at the same time", async () => {
  const [wasm, cpu] = await Promise.all([createEngine({ backend: "wasm" }), createEngine({ backend: "cpu" })]);
  const alone = [await gradient(cpu), await gradient(wasm)];
  expect(await Promise.all([gradient(cpu), gradient(wasm)])).toEqual(alone);
});
