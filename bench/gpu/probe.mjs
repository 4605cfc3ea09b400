/**
 * What one GPU can do: bandwidths, what a launch costs, products of the model's sizes, each kernel of a layer. Where a step
 * falls short, this says of what.
 *
 *   node bench/gpu/probe.mjs [--shape 7b] [--tokens 4096] [--device 0] [--out FILE]
 */

import { engineOver } from "../../packages/engine-cuda/dist/engine.js";
import { openGpu } from "../../packages/engine-cuda/dist/gpu.js";
import { attention, attentionBackward } from "../../packages/engine-cuda/dist/ops/attention.js";
import { createRuntime, rowwise } from "../../packages/engine-cuda/dist/runtime.js";
import { modelOf, promptLength } from "./model.mjs";
import { partOptions, writeResult } from "./part.mjs";

const options = partOptions({ tokens: "4096" });
const isTiny = options.shape === "tiny";
const T = Number(options.tokens);
const { config } = modelOf(options.shape);
const gpu = openGpu(Number(options.device));
const tune = process.env.ZEROGATE_CUDA_TUNE !== "0";
const runtime = createRuntime(gpu, { compute: "bf16", tune, debug: false, graphs: true, plan: undefined });
const engine = engineOver(runtime);

const newEvent = () => {
  const out = new BigUint64Array(8);
  gpu.call("make an event", "cuEventCreate", out, 0);
  return out[0];
};
const [begin, end] = [newEvent(), newEvent()];
const enough = isTiny ? 2 : 20;

/** Milliseconds on the GPU of one `work`, which only enqueues; the first runs are left out. */
function timed(work, times = enough) {
  for (let i = 0; i < 2; i++) work();
  gpu.call("time", "cuEventRecord", begin, gpu.stream);
  for (let i = 0; i < times; i++) work();
  gpu.call("time", "cuEventRecord", end, gpu.stream);
  gpu.call("time", "cuEventSynchronize", end);
  const ms = new Float32Array(16);
  gpu.call("time", "cuEventElapsedTime", ms, begin, end);
  return ms[0] / times;
}

function bandwidths() {
  const bytes = isTiny ? 1 << 16 : 256 << 20;
  const [from, to] = [runtime.hold(bytes), runtime.hold(bytes)];
  const pinned = new BigUint64Array(8);
  gpu.call("pin memory", "cuMemHostAlloc", pinned, BigInt(bytes), 1);
  const pageable = new Uint8Array(bytes);
  const size = BigInt(bytes);
  const rate = (work, moved = bytes) => moved / timed(work, Math.min(enough, 10)) / 1e6;
  const rates = {
    hostToDevicePinned: rate(() => gpu.call("copy", "cuMemcpyHtoDAsync_v2", to.address, pinned[0], size, gpu.stream)),
    deviceToHostPinned: rate(() => gpu.call("copy", "cuMemcpyDtoHAsync_v2", pinned[0], to.address, size, gpu.stream)),
    // As weights are loaded: through two pinned buffers.
    hostToDeviceStaged: rate(() => runtime.staging.upload(to.address, pageable)),
    // Bytes read and written.
    deviceToDevice: rate(
      () => gpu.call("copy", "cuMemcpyDtoDAsync_v2", to.address, from.address, size, gpu.stream),
      2 * bytes,
    ),
  };
  gpu.synchronize("finish the work");
  gpu.call("free pinned memory", "cuMemFreeHost", pinned[0]);
  for (const block of [from, to]) runtime.release(block);
  return rates;
}

/** Microseconds of one small kernel: to enqueue it, and until it is done when many follow each other. */
function launchCost() {
  const block = runtime.hold(4096);
  const launch = () => runtime.run("rows", "add_bias_f32", rowwise(1, 32), [block.address, block.address, 32]);
  launch();
  gpu.synchronize("finish the work");
  const count = isTiny ? 50 : 5000;
  const from = performance.now();
  for (let i = 0; i < count; i++) launch();
  const enqueued = performance.now();
  gpu.synchronize("finish the work");
  const us = (ms) => (1000 * ms) / count;
  const cost = { enqueue: us(enqueued - from), done: us(performance.now() - from) };
  runtime.release(block);
  return cost;
}

/** Random bits of numbers of about ±0.02: data decide how far a GPU's clock falls. */
function fill(address, length) {
  const part = new Uint16Array(Math.min(length, 1 << 20));
  let state = 7;
  for (let i = 0; i < part.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    part[i] = ((state >>> 16) & 0x8000) | 0x3c80 | ((state >>> 9) & 0x7f);
  }
  for (let at = 0; at < length; at += part.length) {
    const piece = new Uint8Array(part.buffer, 0, 2 * Math.min(part.length, length - at));
    runtime.staging.upload(address + BigInt(2 * at), piece);
  }
}

function products() {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, vocabSize: V } = config;
  const X = (H + 2 * G) * d;
  const square = isTiny ? 128 : 8192;
  const cases = [
    ["qkv", T, X, D, true, "bf16"],
    ["o", T, D, H * d, true, "f32"],
    ["gate and up", T, 2 * F, D, true, "bf16"],
    ["down", T, D, F, true, "f32"],
    ["qkv backward", T, D, X, false, "bf16"],
    ["o backward", T, H * d, D, false, "bf16"],
    ["gate and up backward", T, D, 2 * F, false, "bf16"],
    ["down backward", T, F, D, false, "bf16"],
    ["head", Math.min(T, 1024), V, D, true, "f32"],
    ["head backward", Math.min(T, 1024), D, V, false, "bf16"],
    ["square", square, square, square, true, "bf16"],
  ];
  return cases.map(([name, rows, N, K, transposed, output]) => {
    const [x, weight, y] = [2 * rows * K, 2 * N * K, (output === "f32" ? 4 : 2) * rows * N].map((n) => runtime.hold(n));
    fill(x.address, rows * K);
    fill(weight.address, N * K);
    const operands = { y: y.address, x: x.address, weight: weight.address, residual: undefined };
    const product = { T: rows, N, K, transposed, input: "bf16", output };
    const ms = timed(() => runtime.multiply(product, operands));
    for (const block of [x, weight, y]) runtime.release(block);
    return { name, shape: [rows, N, K], ms, tflops: ((2 * rows * N * K) / ms) * 1e-9 };
  });
}

/** Each operation of a layer that is not a product, at the size of a cell of rows of 512. */
async function kernels() {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d } = config;
  const [Q, X, K] = [H * d, (H + 2 * G) * d, promptLength];
  const row = Math.min(512, T);
  const heads = { T, H, G, d, window: 0 };
  const cuSeqlens = Int32Array.from({ length: Math.ceil(T / row) + 1 }, (_, s) => Math.min(T, s * row));
  const weight = engine.matrix({ dtype: "f32", shape: [D], bytes: new Uint8Array(new Float32Array(D).fill(1).buffer) });
  return engine.arena(async () => {
    const inner = (length) => {
      const array = runtime.array(length, "bf16");
      fill(runtime.at(array), length);
      return array;
    };
    const wide = (length) => {
      const array = runtime.array(length);
      runtime.convert(runtime.at(array), "f32", runtime.at(inner(length)), "bf16", length);
      return array;
    };
    const [x, residual, dy, qkv, dO, gateUp, dm] = [
      wide(T * D),
      wide(T * D),
      inner(T * D),
      inner(T * X),
      inner(T * Q),
      inner(T * 2 * F),
      inner(T * F),
    ];
    const kv = inner(K * 2 * G * d);
    const cosSin = wide(T * d);
    const gate_H = new Float32Array(H).fill(0.1);
    const { rstd_T } = engine.rmsNorm(x, weight, { T, D, eps: 1e-5 });
    const { o_TQ, lse_TH } = attention(runtime, qkv, cuSeqlens, heads);
    const norm = { dy_TD: dy, x_TD: x, weight_D: weight, rstd_T, residual_TD: residual };
    const prompt = { qkv_TX: qkv, sets: [{ kv_RY: kv, rows: [0, K], tokens: [0, T], gate_H }] };
    const withPrompts = () => engine.promptedAttention(prompt, cuSeqlens, heads);
    const promptedInput = { do_TQ: dO, ...prompt, ...withPrompts() };
    const pairs = cuSeqlens
      .slice(1)
      .reduce((sum, past, s) => sum + ((past - cuSeqlens[s]) * (past - cuSeqlens[s] + 1)) / 2, 0);
    /** An array, or an object or list of results. */
    const arraysOf = (result) =>
      typeof result?.length === "number" && !Array.isArray(result)
        ? [result]
        : Object.values(result ?? {}).flatMap(arraysOf);
    const freed = (result) => engine.free(...arraysOf(result));
    const cases = [
      ["rmsNorm", 6 * T * D, 0, () => freed(engine.rmsNorm(x, weight, { T, D, eps: 1e-5 }))],
      ["rmsNorm backward", 14 * T * D, 0, () => freed(engine.rmsNormBackward(norm, { T, D }))],
      ["rope", 4 * T * (Q + G * d), 0, () => engine.rope(qkv, cosSin, heads)],
      ["swiglu", 6 * T * F, 0, () => freed(engine.swiglu(gateUp, { T, F }))],
      ["swiglu backward", 10 * T * F, 0, () => freed(engine.swigluBackward(dm, gateUp, { T, F }))],
      ["attention", 0, 4 * H * d * pairs, () => freed(attention(runtime, qkv, cuSeqlens, heads))],
      [
        "attention backward",
        0,
        10 * H * d * pairs,
        () => freed(attentionBackward(runtime, { do_TQ: dO, qkv_TX: qkv, o_TQ, lse_TH }, cuSeqlens, heads)),
      ],
      // What the prompts cost is the difference to attention alone.
      ["attention with prompts", 0, 4 * H * d * (pairs + T * K), () => freed(withPrompts())],
      [
        "attention with prompts backward",
        0,
        10 * H * d * (pairs + T * K),
        () => freed(engine.promptedAttentionBackward(promptedInput, cuSeqlens, { ...heads, K, withInput: true })),
      ],
    ];
    return cases.map(([name, bytes, work, enqueue]) => {
      const ms = timed(enqueue, isTiny ? 1 : 10);
      return { name, ms, ...(bytes && { gbPerSecond: bytes / ms / 1e6 }), ...(work && { tflops: (work / ms) * 1e-9 }) };
    });
  });
}

const { name, architecture, memoryBytes, driver } = gpu;
const result = {
  gpu: { name, architecture, memoryBytes, driver: driver.version.join("."), engine: runtime.version },
  tokens: T,
  bandwidth: bandwidths(),
  launchMicroseconds: launchCost(),
  products: products(),
  kernels: await kernels(),
};
for (const event of [begin, end]) gpu.call("free an event", "cuEventDestroy_v2", event);
runtime.close();
writeResult(options, result);
