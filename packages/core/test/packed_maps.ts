/**
 * Linear maps as tools pack them, bit by bit by the layouts of their sources, and the numbers that the maps stand for: formulas that
 * the readers of `formats/packed` have in another way.
 */
import type { DType } from "../src/engine/engine.ts";
import { narrow, widen } from "../src/formats/dtype.ts";
import { fp8Values } from "../src/formats/fp8.ts";
import type { Tensor, TensorDType } from "../src/formats/safetensors.ts";

/** The tensors of a map behind its path, and its numbers. */
export interface PackedMap {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly numbers: Float32Array;
  readonly dtype: DType;
}

/** A map of `[rows, columns]`; `random` gives integers from 0 to below its argument. */
export interface Size {
  readonly rows: number;
  readonly columns: number;
  readonly random: (below: number) => number;
}

const names: Readonly<Record<DType, TensorDType>> = { f32: "F32", f16: "F16", bf16: "BF16" };

const BF16: DType = "bf16";

export function rounded(values: Float32Array, dtype: DType): Float32Array {
  const out = new Float32Array(values.length);
  widen(dtype, narrow(values, dtype), out);
  return out;
}

const list = (length: number, of: (i: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, i) => of(i));
export const floats = (values: Float32Array, shape: number[], dtype: DType): Tensor => ({
  dtype: names[dtype],
  shape,
  bytes: narrow(values, dtype),
});
const bytes = (dtype: TensorDType, values: ArrayLike<number>, shape: number[]): Tensor => ({
  dtype,
  shape,
  bytes: Uint8Array.from(values),
});

const indices = (values: readonly number[]): Tensor => ({
  dtype: "I32",
  shape: [values.length],
  bytes: new Uint8Array(new Int32Array(values).buffer),
});

/** Scales of either sign that a dtype holds. */
const scalesOf = (count: number, random: Size["random"], dtype: DType): Float32Array =>
  rounded(
    list(count, () => (random(2000) - 1000) / 7000 || 0.01),
    dtype,
  );

/** Codes of `bits` bits, each at the bit that `at` says, in words of 32. */
function packed(dtype: TensorDType, shape: number[], bits: number, codes: ReadonlyMap<number, number>): Tensor {
  const data = new Uint8Array(4 * shape.reduce((a, b) => a * b));
  for (const [at, code] of codes) {
    for (let bit = 0; bit < bits; bit++) data[(at + bit) >> 3] |= ((code >> bit) & 1) << ((at + bit) & 7);
  }
  return { dtype, shape, bytes: data };
}

export function gptq(
  { rows: n, columns: k, random }: Size,
  bits: number,
  groupSize: number,
  version: 1 | 2,
  shuffled = false,
): PackedMap {
  const groups = Math.ceil(k / groupSize);
  const group = Array.from({ length: k }, (_, i) => (shuffled ? (i * 7) % groups : Math.floor(i / groupSize)));
  const scales = scalesOf(groups * n, random, "f16");
  const zeros = list(groups * n, () => 1 + random(2 ** bits - 1));
  const [codes, zeroCodes] = [new Map<number, number>(), new Map<number, number>()];
  const numbers = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < k; column++) {
      const code = random(2 ** bits);
      codes.set((Math.floor((column * bits) / 32) * n + row) * 32 + ((column * bits) % 32), code);
      const g = group[column] * n + row;
      numbers[row * k + column] = (code - zeros[g]) * scales[g];
    }
    for (let g = 0; g < groups; g++)
      zeroCodes.set(g * n * bits + row * bits, zeros[g * n + row] - (version === 1 ? 1 : 0));
  }
  return {
    tensors: {
      qweight: packed("I32", [(k * bits) / 32, n], bits, codes),
      qzeros: packed("I32", [groups, (n * bits) / 32], bits, zeroCodes),
      scales: floats(scales, [groups, n], "f16"),
      ...(shuffled && { g_idx: indices(group) }),
    },
    numbers: rounded(numbers, "f16"),
    dtype: "f16",
  };
}

export function awq({ rows: n, columns: k, random }: Size, groupSize: number): PackedMap {
  const order = [0, 2, 4, 6, 1, 3, 5, 7];
  const groups = k / groupSize;
  const scales = scalesOf(groups * n, random, "f16");
  const zeros = list(groups * n, () => random(16));
  const [codes, zeroCodes] = [new Map<number, number>(), new Map<number, number>()];
  const bitOf = (line: number, row: number) => (line * (n / 8) + Math.floor(row / 8)) * 32 + 4 * order.indexOf(row % 8);
  const numbers = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < k; column++) {
      const code = random(16);
      codes.set(bitOf(column, row), code);
      const g = Math.floor(column / groupSize) * n + row;
      numbers[row * k + column] = (code - zeros[g]) * scales[g];
    }
    for (let g = 0; g < groups; g++) zeroCodes.set(bitOf(g, row), zeros[g * n + row]);
  }
  return {
    tensors: {
      qweight: packed("I32", [k, n / 8], 4, codes),
      qzeros: packed("I32", [groups, n / 8], 4, zeroCodes),
      scales: floats(scales, [groups, n], "f16"),
    },
    numbers: rounded(numbers, "f16"),
    dtype: "f16",
  };
}

export function compressedPack(
  { rows: n, columns: k, random }: Size,
  bits: 4 | 8,
  groupSize: number,
  { asymmetric = false, shuffled = false, dtype = BF16 } = {},
): PackedMap {
  const groups = k / groupSize;
  const scales = scalesOf(n * groups, random, dtype);
  const half = 2 ** (bits - 1);
  const zeros = list(n * groups, () => (asymmetric ? random(2 ** bits) - half : 0));
  const group = Array.from({ length: k }, (_, i) => (shuffled ? (5 * i) % groups : Math.floor(i / groupSize)));
  const [codes, zeroCodes] = [new Map<number, number>(), new Map<number, number>()];
  const numbers = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < k; column++) {
      const value = random(2 ** bits) - half;
      codes.set((row * k + column) * bits, value + half);
      const g = row * groups + group[column];
      numbers[row * k + column] = (value - zeros[g]) * scales[g];
    }
    for (let g = 0; g < groups; g++) {
      const bit = (Math.floor((row * bits) / 32) * groups + g) * 32 + ((row * bits) % 32);
      zeroCodes.set(bit, zeros[row * groups + g] + half);
    }
  }
  return {
    tensors: {
      weight_packed: packed("I32", [n, (k * bits) / 32], bits, codes),
      weight_scale: floats(scales, [n, groups], dtype),
      weight_shape: { dtype: "I64", shape: [2], bytes: new Uint8Array(BigInt64Array.of(BigInt(n), BigInt(k)).buffer) },
      ...(asymmetric && { weight_zero_point: packed("I32", [(n * bits) / 32, groups], bits, zeroCodes) }),
      ...(shuffled && {
        weight_g_idx: indices(group),
      }),
    },
    numbers: rounded(numbers, dtype),
    dtype,
  };
}

/** Maps of bytes with scales in a grid of `[height, width]`, each of `valueOf(byte)`. */
function scaledBytes(
  { rows: n, columns: k, random }: Size,
  grid: readonly [height: number, width: number],
  {
    code,
    valueOf,
    scales,
    zeros,
  }: { code: TensorDType; valueOf: (byte: number) => number; scales: Float32Array; zeros?: Float32Array },
): { weight: Tensor; numbers: Float32Array } {
  const [height, width] = grid;
  const stored = Uint8Array.from({ length: n * k }, () => {
    const byte = random(256);
    return Number.isNaN(valueOf(byte)) ? 0 : byte;
  });
  const numbers = Float32Array.from(stored, (byte, i) => {
    const at = Math.floor(Math.floor(i / k) / (n / height)) * width + Math.floor((i % k) / (k / width));
    return (valueOf(byte) - (zeros?.[at] ?? 0)) * scales[at];
  });
  return { weight: { dtype: code, shape: [n, k], bytes: stored }, numbers };
}

const fp8Value = (byte: number) => fp8Values[byte];
const signed = (byte: number) => (byte > 127 ? byte - 256 : byte);

export function compressedBytes(
  size: Size,
  kind: "int" | "float",
  grid: readonly [number, number],
  { asymmetric = false, dtype = BF16, shape = [...grid] } = {},
): PackedMap {
  const count = grid[0] * grid[1];
  const scales = scalesOf(count, size.random, dtype);
  const zeros = asymmetric ? list(count, () => size.random(200) - 100) : undefined;
  const valueOf = kind === "int" ? signed : fp8Value;
  const code = kind === "int" ? "I8" : "F8_E4M3";
  const { weight, numbers } = scaledBytes(size, grid, { code, valueOf, scales, ...(zeros && { zeros }) });
  return {
    tensors: {
      weight,
      weight_scale: floats(scales, shape, dtype),
      ...(zeros && {
        weight_zero_point: bytes(
          "I8",
          zeros.map((zero) => (zero + 256) % 256),
          shape,
        ),
      }),
    },
    numbers: rounded(numbers, dtype),
    dtype,
  };
}

/** @param scale is the dtype of the scales, U8 and F8_E8M0 for exponents. */
export function fp8(
  size: Size,
  grid: readonly [number, number],
  scale: DType | "U8" | "F8_E8M0",
  dtype: DType,
  shape = [...grid],
): PackedMap {
  const count = grid[0] * grid[1];
  const isExponent = scale === "U8" || scale === "F8_E8M0";
  const exponents = Array.from({ length: count }, () => 115 + size.random(10));
  const scales = isExponent ? Float32Array.from(exponents, (e) => 2 ** (e - 127)) : scalesOf(count, size.random, scale);
  const { weight, numbers } = scaledBytes(size, grid, { code: "F8_E4M3", valueOf: fp8Value, scales });
  const stored = isExponent ? bytes(scale, exponents, shape) : floats(scales, shape, scale);
  return { tensors: { weight, weight_scale_inv: stored }, numbers: rounded(numbers, dtype), dtype };
}

export function bnb8(size: Size, dtype: DType): PackedMap {
  const { rows: n, columns: k, random } = size;
  const largest = list(n, () => (1 + random(900)) / 700);
  const { weight, numbers: scaled } = scaledBytes(size, [n, 1], { code: "I8", valueOf: signed, scales: largest });
  const numbers = scaled.map((value) => value * Math.fround(1 / 127));
  const format = bytes("U8", [0], []);
  return {
    tensors: { weight: { ...weight, shape: [n, k] }, SCB: floats(largest, [n], "f32"), weight_format: format },
    numbers: rounded(numbers, dtype),
    dtype,
  };
}

export function bnb4(
  { rows: n, columns: k, random }: Size,
  type: "nf4" | "fp4",
  nested: boolean,
  dtype: DType,
): PackedMap {
  const table = list(16, (i) => (type === "nf4" ? Math.tanh((i - 7.3) / 5) : (i - 8) / 9));
  const blocksize = 64;
  const blocks = Math.ceil((n * k) / blocksize);
  const inner = 256;
  const [codeTable, offset] = [list(256, (i) => (i - 100) / 173), Math.fround(0.0371)];
  const codes2 = Array.from({ length: blocks }, () => random(256));
  const maxima2 = list(Math.ceil(blocks / inner), () => (1 + random(99)) / 41);
  const absmax = nested
    ? Float32Array.from(codes2, (code, i) => Math.fround(codeTable[code] * maxima2[Math.floor(i / inner)]) + offset)
    : list(blocks, () => (1 + random(999)) / 317);
  const codes = Array.from({ length: n * k }, () => random(16));
  const numbers = Float32Array.from(codes, (code, i) => table[code] * absmax[Math.floor(i / blocksize)]);
  const halves = Array.from({ length: (n * k) / 2 }, (_, i) => codes[2 * i] * 16 + codes[2 * i + 1]);
  const state = {
    quant_type: type,
    blocksize,
    dtype: { f32: "float32", f16: "float16", bf16: "bfloat16" }[dtype],
    shape: [n, k],
    ...(nested && { nested_blocksize: inner, nested_dtype: "float32", nested_offset: offset }),
  };
  const json = Buffer.from(JSON.stringify(state));
  return {
    tensors: {
      weight: bytes("U8", halves, [(n * k) / 2, 1]),
      "weight.absmax": nested ? bytes("U8", codes2, [blocks]) : floats(absmax, [blocks], "f32"),
      "weight.quant_map": floats(table, [16], "f32"),
      ...(nested && {
        "weight.nested_absmax": floats(maxima2, [maxima2.length], "f32"),
        "weight.nested_quant_map": floats(codeTable, [256], "f32"),
      }),
      [`weight.quant_state.bitsandbytes__${type}`]: bytes("U8", json, [json.length]),
    },
    numbers: rounded(numbers, dtype),
    dtype,
  };
}

export function mlx({ rows: n, columns: k, random }: Size, bits: number, groupSize: number, dtype: DType): PackedMap {
  const groups = k / groupSize;
  const [scales, biases] = [scalesOf(n * groups, random, dtype), scalesOf(n * groups, random, dtype)];
  const codes = new Map<number, number>();
  const products = new Float32Array(n * k);
  const groupOf = (i: number) => Math.floor(i / k) * groups + Math.floor((i % k) / groupSize);
  for (let i = 0; i < n * k; i++) {
    const code = random(2 ** bits);
    codes.set(i * bits, code);
    products[i] = code * scales[groupOf(i)];
  }
  const numbers = rounded(products, dtype).map((value, i) => value + biases[groupOf(i)]);
  return {
    tensors: {
      weight: packed("U32", [n, (k * bits) / 32], bits, codes),
      scales: floats(scales, [n, groups], dtype),
      biases: floats(biases, [n, groups], dtype),
    },
    numbers: rounded(numbers, dtype),
    dtype,
  };
}
