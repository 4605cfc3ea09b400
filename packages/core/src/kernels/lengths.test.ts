/** Every kernel refuses every array that is not as long as its sizes say, before it writes a number. */
import { expect, test } from "vitest";
import { lengthOf } from "../engine/flat.ts";
import type { FlatOperation, Shape } from "../engine/operation_rows.ts";
import { flatOperations } from "../engine/operations.ts";
import { attentionBackward, attentionForward, cachedAttentionForward } from "./attention.ts";
import { headLossForwardBackward } from "./head_loss.ts";
import { linearBackward, linearForward } from "./linear.ts";
import { promptAttentionBackward, promptAttentionForward } from "./prompt_attention.ts";
import { rotate } from "./rope.ts";

const [T, D, N, K, V, R, H, G, d] = [3, 5, 6, 2, 7, 2, 4, 2, 2];
const X = (H + 2 * G) * d;
const Y = 2 * G * d;
const attention = { T, H, G, d, window: 0, K };
const f32 = (...shape: number[]) => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5);
const cuSeqlens = Int32Array.of(0, T);
const tokens = [0, T] as const;

type Arrays = Record<string, unknown>;
type Kernel = (out: never, input: never, size: never) => void;

const kernels: readonly [name: string, kernel: Kernel, out: Arrays, input: Arrays, size: object][] = [
  [
    "linear",
    linearForward,
    { y_TN: f32(T, N) },
    { x_TK: f32(T, K), w_NK: f32(N, K), bias_N: f32(N), residual_TN: f32(T, N) },
    { T, N, K },
  ],
  [
    "linear backward",
    linearBackward,
    { dx_TK: f32(T, K) },
    { dy_TN: f32(T, N), w_NK: f32(N, K), residual_TK: f32(T, K) },
    { T, N, K },
  ],
  ...Object.entries<FlatOperation>(flatOperations).map(([name, operation]): (typeof kernels)[number] => {
    const lengths = Object.values(operation.rows).map(({ shape }) => shape);
    const letters = [...new Set([...Object.keys(operation.sizes), ...lengths])];
    const sizes = Object.fromEntries(letters.map((letter, i) => [letter, 5 - i]));
    if ("X" in sizes) sizes["X"] = sizes["A"] + sizes["B"];
    const size = { ...sizes, ...Object.fromEntries(operation.numbers.map((number) => [number, 1e-5])) };
    const arrays = (shapes: Readonly<Record<string, Shape>>) =>
      Object.fromEntries(Object.entries(shapes).map(([array, shape]) => [array, f32(lengthOf(shape)(sizes))]));
    const lists = Object.entries(operation.rows).map(([list, { shape, below }]) => {
      return [list, Int32Array.from({ length: lengthOf(shape)(sizes) }, (_, i) => i % sizes[below])];
    });
    const inputs = { ...arrays(operation.inputs), ...arrays(operation.maybe), ...arrays(operation.weights) };
    return [name, operation.kernel, arrays(operation.outputs), { ...inputs, ...Object.fromEntries(lists) }, size];
  }),
  [
    "head loss",
    headLossForwardBackward,
    { nll_R: f32(R), hit_R: f32(R), dy_RD: f32(R, D) },
    { y_RD: f32(R, D), head_VD: f32(V, D), labels_R: Int32Array.of(1, 6) },
    { R, D, V, scale: 1 },
  ],
  [
    "attention",
    attentionForward,
    { o_TQ: f32(T, H, d), lse_TH: f32(T, H) },
    { qkv_TX: f32(T, X), cuSeqlens },
    attention,
  ],
  [
    "attention backward",
    attentionBackward,
    { dqkv_TX: f32(T, X) },
    { do_TQ: f32(T, H, d), qkv_TX: f32(T, X), o_TQ: f32(T, H, d), cuSeqlens },
    attention,
  ],
  [
    "cached attention",
    cachedAttentionForward,
    { o_TQ: f32(T, H, d) },
    { qkv_TX: f32(T, X), cuSeqlens, caches: [{ data: f32(4, Y), capacity: 4 }], starts: Int32Array.of(0) },
    attention,
  ],
  [
    "prompts",
    promptAttentionForward,
    { y_TQ: f32(T, H, d) },
    { qkv_TX: f32(T, X), kv_KY: f32(K, Y), gate_H: f32(H), tokens },
    attention,
  ],
  [
    "prompts backward",
    promptAttentionBackward,
    { dkv_KY: f32(K, Y), dgate_H: f32(H), dqkv_TX: f32(T, X) },
    { do_TQ: f32(T, H, d), qkv_TX: f32(T, X), kv_KY: f32(K, Y), gate_H: f32(H), tokens },
    attention,
  ],
  [
    "rotary embedding",
    (_: object, { qkv_TX, cosSin_Td }: { qkv_TX: Float32Array; cosSin_Td: Float32Array }) =>
      rotate(qkv_TX, cosSin_Td, attention),
    {},
    { qkv_TX: f32(T, X), cosSin_Td: f32(T, d) },
    attention,
  ],
];

const arraysIn = (arrays: Arrays) =>
  Object.keys(arrays).filter(
    (name) => arrays[name] instanceof Float32Array || name === "labels_R" || name === "starts",
  );

test.each(kernels)("%s takes arrays of its sizes only", (_, kernel, out, input, size) => {
  const call = (outs: Arrays, inputs: Arrays) => () => kernel(outs as never, inputs as never, size as never);
  expect(call(out, input)).not.toThrow();
  for (const resize of [
    (array: Float32Array) => array.subarray(1),
    (array: Float32Array) => new Float32Array(array.length + 1),
  ]) {
    for (const name of arraysIn(out)) {
      expect(call({ ...out, [name]: resize(out[name] as Float32Array) }, input)).toThrow(
        `Cannot use ${name}: expected`,
      );
    }
    for (const name of arraysIn(input)) {
      const wrong = { ...input, [name]: resize(input[name] as Float32Array) };
      expect(call(out, wrong)).toThrow(`Cannot use ${name === "starts" ? "starts" : name}: expected`);
    }
  }
});

test("a cache holds no more tokens than it was made for", () => {
  const starts = Int32Array.of(1);
  const input = { qkv_TX: f32(T, X), cuSeqlens, starts };
  const into = (capacity: number) => () =>
    cachedAttentionForward(
      { o_TQ: f32(T, H, d) },
      { ...input, caches: [{ data: f32(capacity, Y), capacity }] },
      attention,
    );
  expect(into(4)).not.toThrow();
  expect(into(3)).toThrow("Cannot keep 4 tokens: the cache was made for 3");
});
