/**
 * TensorFlow.js's autodiff as a judge: it differentiates the forward composites, and every backward that was derived by hand,
 * of the reference engine and of this one, must give the same. Shapes are random, from a seed.
 */
import * as tf from "@tensorflow/tfjs-core";
import { cellGradient, createModel, createReferenceEngine, packCell } from "@zerogate/core";
import { type Engine, type FlatName, type FlatOperation, flatOperations, type PromptSet } from "@zerogate/core/engine";
import { randomBits } from "@zerogate/core/training";
import { beforeAll, describe, expect, test } from "vitest";
import { single, wave } from "../../core/test/numeric.ts";
import { gateKinds, labelled, tinyAdapter, tinyConfig, tinyImage, tinyTokens } from "../../core/test/tiny_model.ts";
import { gatedAttention, maths, nllSum, tfLoss } from "../test/tf_model.ts";
import { createEngine } from "./engine.ts";
import { attention } from "./ops/attention.ts";
import { flat, matrixShape } from "./ops/flat.ts";
import { rope } from "./ops/rope.ts";
import type { Tensor } from "./tf.ts";

const engines: Engine[] = [];
beforeAll(async () => {
  await import("@tensorflow/tfjs-core/dist/register_all_gradients.js");
  engines.push(createReferenceEngine(), await createEngine({ backend: "cpu" }));
});

/** Numbers that seed and place decide. */
const whole = (seed: number, place: number, from: number, to: number) =>
  from + (randomBits(seed, place) % (to + 1 - from));
const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

interface Operation {
  /** Shapes of what is differentiated, then of the gradient that flows in. */
  readonly inputs: readonly (readonly number[])[];
  readonly output: readonly number[];
  readonly forward: (...inputs: Tensor[]) => Tensor;
  /** Gradients in the order of the inputs. */
  readonly backward: (
    engine: Engine,
    inputs: Float32Array[],
    dy: Float32Array,
  ) => Promise<(Float32Array | undefined)[]>;
}

const f32 = (values: Float32Array, shape: readonly number[]) => ({
  dtype: "f32" as const,
  shape,
  bytes: new Uint8Array(values.buffer),
});

function heads(seed: number) {
  const G = whole(seed, 1, 1, 3);
  const lengths = Array.from({ length: whole(seed, 2, 1, 3) }, (_, s) => whole(seed, 10 + s, 1, 9));
  const T = lengths.reduce((a, b) => a + b);
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))]);
  const [H, d, window, K] = [
    G * whole(seed, 3, 1, 3),
    2 * whole(seed, 4, 1, 5),
    whole(seed, 5, 0, 3),
    whole(seed, 6, 1, 6),
  ];
  return { cuSeqlens, size: { T, H, G, d, window, K }, K };
}

const operations: Record<string, (seed: number) => Operation> = {
  linear(seed) {
    const [T, N, K] = [whole(seed, 1, 1, 6), whole(seed, 2, 1, 9), whole(seed, 3, 1, 9)];
    const weight = single(wave(N * K, seed));
    const from = whole(seed, 4, 0, N - 1);
    return {
      inputs: [[T, K]],
      output: [T, N - from],
      forward: (x) => tf.slice(tf.matMul(x, tf.tensor2d(weight, [N, K]), false, true), [0, from], [T, N - from]),
      async backward(engine, _inputs, dy) {
        const matrix = engine.matrix(f32(weight, [N, K]));
        return [await engine.read(engine.linearBackward(engine.upload(dy), matrix, { T, rows: [from, N] }))];
      },
    };
  },
  rope(seed) {
    const { size } = heads(seed);
    const { T, H, G, d } = size;
    const angles = single(wave(T * d, seed)); // any numbers: the gradient of a linear map is its transpose
    return {
      inputs: [[T, H + 2 * G, d]],
      output: [T, H + 2 * G, d],
      forward: (x) => rope(maths, x, tf.tensor2d(angles, [T, d]), size),
      async backward(engine, _inputs, dy) {
        const dx = engine.upload(dy);
        engine.rope(dx, engine.upload(angles), { ...size, inverse: true });
        return [await engine.read(dx)];
      },
    };
  },
  attention(seed) {
    const { size, cuSeqlens } = heads(seed);
    const { T, H, G, d } = size;
    return {
      inputs: [[T, H + 2 * G, d]],
      output: [T, H, d],
      forward: (x) => attention(maths, x, cuSeqlens, size).o_THd,
      async backward(engine, [qkv], dy) {
        const qkv_TX = engine.upload(qkv);
        const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, size);
        const input = { do_TQ: engine.upload(dy), qkv_TX, o_TQ, lse_TH };
        return [await engine.read(engine.attentionBackward(input, cuSeqlens, size))];
      },
    };
  },
  promptAttention(seed) {
    const { size } = heads(seed);
    const { T, H, G, d, K } = size;
    const o = single(wave(T * H * d, seed));
    return {
      inputs: [[T, H + 2 * G, d], [K, 2 * G, d], [H]],
      output: [T, H, d],
      forward: (qkv, kv, gate_H) => gatedAttention({ o: tf.tensor3d(o, [T, H, d]), qkv, kv, gate_H }, size),
      async backward(engine, [qkv, kv, gate_H], dy) {
        const dqkv_TX = engine.upload(new Float32Array(qkv.length));
        const set: PromptSet = { kv_RY: engine.upload(kv), rows: [0, K], tokens: [0, T], gate_H };
        const input = { do_TQ: engine.upload(dy), qkv_TX: engine.upload(qkv), sets: [set], dqkv_TX };
        const [{ dkv_KY, dgate_H }] = engine.promptAttentionBackward(input, size);
        return [await engine.read(dqkv_TX), await engine.read(dkv_KY), await engine.read(dgate_H)];
      },
    };
  },
  headLoss(seed) {
    const [R, D, V] = [whole(seed, 1, 1, 8), whole(seed, 2, 1, 9), whole(seed, 3, 2, 40)];
    const head = single(wave(V * D, seed));
    const labels = Int32Array.from({ length: R }, (_, r) => whole(seed, 20 + r, 0, V - 1));
    return {
      inputs: [[R, D]],
      output: [],
      forward: (y) => nllSum(y, tf.tensor2d(head, [V, D]), labels),
      async backward(engine, [y], [scale]) {
        const matrix = engine.matrix(f32(head, [V, D]));
        const { dy_RD } = engine.headLoss(engine.upload(y), matrix, labels, { R, D, cells: [{ R, scale }] });
        if (!dy_RD) throw new Error("no gradient");
        return [await engine.read(dy_RD)];
      },
    };
  },
};

/** A flat operation of core's table that has a backward; its lists name distinct rows. */
function flatOperation(name: FlatName, { sizes, numbers, weights, rows, inputs, outputs, backward }: FlatOperation) {
  return (seed: number): Operation => {
    const size: Record<string, number> = Object.fromEntries(numbers.map((number) => [number, 1e-5]));
    for (const [i, letter] of Object.keys(sizes).entries())
      size[letter] = i === 0 ? whole(seed, 1, 1, 7) : whole(seed, i + 1, 2, 30);
    for (const { shape, below } of Object.values(rows)) size[shape] ??= whole(seed, 9, 1, size[below]);
    const lists = Object.entries(rows).map(([list, { shape, below, least }]): [string, Int32Array] => [
      list,
      Int32Array.from({ length: size[shape] }, (_, i) => (least < 0 && i % 3 === 1 ? -1 : i % size[below])),
    ]);
    const vectors = Object.entries(weights).map(([vector, letter], i): [string, Float32Array] => [
      vector,
      single(wave(size[letter], seed + i)),
    ]);
    const [names, [[y, shape]]] = [Object.keys(inputs), Object.entries(outputs)];
    const row: FlatOperation = flatOperations[backward as FlatName];
    return {
      inputs: Object.values(inputs).map((input) => matrixShape(input, size)),
      output: matrixShape(shape, size),
      forward(...tensors) {
        const given = Object.fromEntries([
          ...tensors.map((tensor, i): [string, Tensor] => [names[i], tensor]),
          ...vectors.map(([vector, floats]): [string, Tensor] => [vector, tf.tensor1d(floats)]),
          ...lists.map(([list, ints]): [string, Tensor] => [list, tf.tensor1d(ints, "int32")]),
        ]);
        return (differentiable[name] ?? flat[name])(maths, given, size)[y];
      },
      async backward(engine, arrays, dy) {
        const values: Record<string, unknown> = Object.fromEntries(lists);
        for (const [vector, floats] of vectors) values[vector] = engine.matrix(f32(floats, [floats.length]));
        for (const [i, floats] of arrays.entries()) values[names[i]] = engine.upload(floats);
        const call = (method: FlatName, { arguments: own, outputs: made }: FlatOperation) => {
          const args = own.map((given) =>
            typeof given === "string"
              ? values[given]
              : Object.fromEntries(given.map((field) => [field, values[field]])),
          );
          const result: unknown = Reflect.apply(engine[method], engine, [...args, size]);
          return Object.keys(made).length === 1 ? { [Object.keys(made)[0]]: result } : (result as object);
        };
        Object.assign(values, call(name, flatOperations[name]), { [`d${y}`]: engine.upload(dy) });
        Object.assign(values, call(backward as FlatName, row));
        const gradients: (Float32Array | undefined)[] = [];
        for (const input of names) {
          const gradient = values[`d${input}`] as ReturnType<Engine["upload"]> | undefined;
          gradients.push(gradient && (await engine.read(gradient)));
        }
        return gradients;
      },
    };
  };
}
/** The engine's own formula of these compares numbers, which TensorFlow.js cannot differentiate. */
const differentiable: Readonly<Partial<Record<FlatName, (typeof flat)[FlatName]>>> = {
  geluErf: (_, { up_TF }: { up_TF: Tensor }) => ({
    y_TF: tf.mul(up_TF, tf.mul(tf.add(tf.erf(tf.mul(up_TF, Math.SQRT1_2)), 1), 0.5)),
  }),
};

for (const [name, operation] of Object.entries<FlatOperation>(flatOperations)) {
  if (operation.backward) operations[name] = flatOperation(name as FlatName, operation);
}

/** Largest difference relative to the largest number. */
function distance(actual: Float32Array, expected: Float32Array): number {
  expect(actual).toHaveLength(expected.length);
  const reach = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 1e-2);
  return actual.reduce(
    (worst, x, i) => Math.max(worst, Number.isNaN(x) ? Infinity : Math.abs(x - expected[i]) / reach),
    0,
  );
}

describe.each(Object.entries(operations))("%s", (_name, make) => {
  test.each([1, 2, 3, 4, 5, 6])("its backward is what autodiff says, random shape %i", async (seed) => {
    const { inputs, output, forward, backward } = make(seed);
    const values = inputs.map((shape, i) => single(wave(product(shape), 0.7 * seed + i)));
    const dy = single(wave(product(output), 2.1 * seed));
    const expected = tf.tidy(() => {
      const tensors = values.map((numbers, i) => tf.tensor(numbers.slice(), [...inputs[i]]));
      return tf
        .grads(forward)(tensors, tf.tensor(dy.slice(), [...output]))
        .map((grad) => grad.dataSync<"float32">().slice());
    });
    for (const engine of engines) {
      const actual = await engine.arena(() => backward(engine, values, dy));
      expect(actual.some((grad) => grad)).toBe(true);
      for (const [i, grad] of actual.entries()) {
        if (!grad) continue; // another operation has it
        // Both round every step to float32, on different ways.
        expect(distance(grad, expected[i]), `${engine.name}, input ${i}`).toBeLessThan(5e-6);
      }
    }
  });
});

describe("the whole model", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "gradients of prompts and gates are what autodiff says, random shape %i",
    async (seed) => {
      const kvHeads = whole(seed, 1, 1, 3);
      const config = tinyConfig({
        vocabSize: whole(seed, 2, 11, 40),
        hiddenSize: whole(seed, 3, 5, 20),
        intermediateSize: whole(seed, 4, 4, 24),
        layers: whole(seed, 5, 1, 4),
        kvHeads,
        heads: kvHeads * whole(seed, 6, 1, 3),
        headDim: 2 * whole(seed, 7, 1, 4),
        slidingWindow: whole(seed, 8, 0, 1) * whole(seed, 9, 1, 4),
        tiedEmbeddings: seed % 3 === 0,
        qkvBias: seed % 2 === 0,
        outputBias: seed % 2 === 0,
        mlpBias: seed % 4 === 0,
      });
      const image = tinyImage(config, seed);
      const shape = { promptLength: whole(seed, 10, 1, 5), adaptedLayers: whole(seed, 11, 1, config.layers) };
      const { layout, params } = tinyAdapter(config, { ...shape, ...gateKinds[seed % 4] }, { seed });
      const cell = packCell(tinyTokens(config, [whole(seed, 12, 2, 9), whole(seed, 13, 2, 6)], seed), [0, 1]);
      const scale = 1 / labelled(cell);
      const { loss, expected } = tf.tidy(() => {
        const { value, grad } = tf.valueAndGrad(tfLoss(config, image, layout, cell))(
          tf.tensor1d(params),
          tf.scalar(scale),
        );
        return { loss: value.dataSync()[0], expected: grad.dataSync<"float32">().slice() };
      });
      expect(expected.some((g) => g !== 0)).toBe(true);
      for (const engine of engines) {
        const model = createModel(engine, config, image);
        const { lossSum, gradient } = await cellGradient(model, { layout, params }, cell, scale);
        expect(Math.abs(lossSum - loss) / loss, engine.name).toBeLessThan(1e-6);
        expect(distance(gradient, expected), engine.name).toBeLessThan(2e-5);
      }
    },
  );
});
