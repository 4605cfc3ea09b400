/** A training step leaves TensorFlow.js as it found it, and holds no more than was planned. */
import * as tf from "@tensorflow/tfjs-core";
import { cellGradient, createModel, InputError, packCell } from "@zerogate/core";
import { expect, test } from "vitest";
import { recordingEngine } from "../../core/test/recording_engine.ts";
import { labelled, tinyAdapter, tinyConfig, tinyImage, tinyTokens } from "../../core/test/tiny_model.ts";
import { backends } from "../test/backends.ts";
import { createEngine } from "./engine.ts";
import { tfjsTraits } from "./traits.ts";

const config = tinyConfig({ hiddenSize: 24, intermediateSize: 64, layers: 4 });
const image = tinyImage(config);
const adapter = tinyAdapter(config, { adaptedLayers: 3 });
const tokens = tinyTokens(config, [9, 3, 6, 12, 5]);
const cells = [[0], [1, 2], [3], [4, 0, 1], [2, 3, 4]].map((samples) => packCell(tokens, samples));

/** The heap of the WebAssembly backend, which never shrinks. */
const heapBytes = () => (tf.backend() as unknown as { wasm?: { HEAPU8: Uint8Array } }).wasm?.HEAPU8.byteLength ?? 0;

for (const { backend, absent } of backends) {
  test.skipIf(absent !== "")(`tfjs:${backend}: 200 steps leave tf.memory() unchanged${absent}`, async () => {
    const model = createModel(await createEngine({ backend }), config, image);
    const step = async (n: number) => {
      const cell = cells[n % cells.length];
      await cellGradient(model, adapter, cell, 1 / labelled(cell));
      return { ...tf.memory(), heap: heapBytes() };
    };
    for (let n = 0; n < cells.length; n++) await step(n); // the heap grows to what is needed
    const before = await step(0);
    for (let n = 1; n <= 200; n++) expect(await step(n), `after step ${n}`).toEqual(before);
  });
}

test("the peak of a step is what core plans, and the temporaries of one operation", async () => {
  const lengths = [40, 24];
  const cell = packCell(tinyTokens(config, lengths), [0, 1]);
  const scale = 1 / labelled(cell);
  const recorded = recordingEngine();
  await cellGradient(createModel(recorded.engine, config, image), adapter, cell, scale);
  const planned = 4 * recorded.takePeak();

  const model = createModel(await createEngine({ backend: "cpu" }), config, image);
  const before = tf.memory().numBytes;
  const { peakBytes } = await tf.profile(async () => {
    await cellGradient(model, adapter, cell, scale);
    return tf.scalar(0);
  });
  const { heads, kvHeads, headDim, intermediateSize: F } = config;
  // As run/memory.ts of the trainer estimates it: slices of heads, the backward of SwiGLU, scores of the longest sequence.
  const X = (heads + 2 * kvHeads) * headDim;
  const temporaries = 4 * cell.ids_T.length * (3 * X + 10 * F) + 8 * 4 * heads * Math.max(...lengths) ** 2;
  expect(peakBytes - before).toBeGreaterThan(planned);
  expect(peakBytes - before).toBeLessThan(planned + temporaries);
});

test("WebAssembly holds as many copies of a trained base as it says", async () => {
  const large = tinyConfig({ hiddenSize: 320, intermediateSize: 1280, layers: 6 }); // maps far larger than all else
  const base = tinyImage(large);
  const engine = await createEngine({ backend: "wasm" });
  const before = heapBytes();
  const model = createModel(engine, large, base);
  await cellGradient(model, tinyAdapter(large, { adaptedLayers: 6 }), packCell(tinyTokens(large, [5]), [0]), 1);
  const copies = (heapBytes() - before) / base.bytes.byteLength;
  expect(Math.round(copies)).toBe(tfjsTraits("wasm").weightCopies);
});

test("a weight that would pass the end of the WebAssembly memory is refused before it is allocated, and the engine works on", async () => {
  const engine = await createEngine({ backend: "wasm" });
  const { memoryBytes } = tfjsTraits("wasm");
  const heap = heapBytes();
  const bytes = new Uint8Array(2 ** 32); // the system gives the pages when they are touched
  const tooMuch = () => engine.matrix({ dtype: "f32", shape: [2 ** 15, 2 ** 15], bytes });
  expect(tooMuch).toThrow(InputError);
  expect(tooMuch).toThrow(
    new RegExp(
      `^Cannot run this on the engine tfjs:wasm: 4\\d{9} bytes are planned, its memory ends at ${memoryBytes}: `,
    ),
  );
  expect(heapBytes()).toBe(heap);
  const y = await engine.arena(() => engine.read(engine.upload(Float32Array.of(1, 2))));
  expect(y).toEqual(Float32Array.of(1, 2));
});

test("an activation that would pass it is refused too, and the engine works on", async () => {
  const engine = await createEngine({ backend: "wasm" });
  const table = engine.matrix({ dtype: "f32", shape: [1, 2 ** 10], bytes: new Uint8Array(2 ** 12) });
  const heap = heapBytes();
  const tooMuch = engine.arena(async () => engine.embed(table, new Int32Array(2 ** 20)));
  await expect(tooMuch).rejects.toThrow(/^Cannot run this on the engine tfjs:wasm: 4\d{9} bytes are planned, /);
  expect(heapBytes() - heap).toBeLessThan(2 ** 26);
  const y = await engine.arena(() => engine.read(engine.embed(table, Int32Array.of(0))));
  expect(y).toEqual(new Float32Array(2 ** 10));
});

const webgpu = backends.find(({ backend }) => backend === "webgpu");

test.skipIf(webgpu?.absent !== "")(
  `an array above what a WebGPU device binds is refused, as a weight and as a result${webgpu?.absent}`,
  async () => {
    const engine = await createEngine({ backend: "webgpu" });
    engine.upload(Float32Array.of(0)); // now it is the current one
    const { device } = tf.backend() as unknown as { device: { limits: Readonly<Record<string, number>> } };
    const limit = device.limits["maxStorageBufferBindingSize"];
    const refusal = (bytes: number) =>
      `Cannot run this on the engine tfjs:webgpu: one array needs ${bytes} bytes, this device binds at most ${limit}: `;
    const columns = 2 ** 14;
    const rows = Math.floor(limit / (4 * columns)) + 1;
    const bytes = 4 * rows * columns;
    const weight = { dtype: "f32" as const, shape: [rows, columns], bytes: new Uint8Array(bytes) };
    expect(() => engine.matrix(weight)).toThrow(refusal(bytes));
    const table = engine.matrix({ dtype: "f32", shape: [1, columns], bytes: new Uint8Array(4 * columns) });
    const tooMuch = engine.arena(async () => engine.embed(table, new Int32Array(rows)));
    await expect(tooMuch).rejects.toThrow(refusal(bytes));
    const y = await engine.arena(() => engine.read(engine.embed(table, Int32Array.of(0))));
    expect(y).toEqual(new Float32Array(columns));
  },
);
