/**
 * The binary's operations over the WebAssembly kernels: same arguments, same checks (native/node/ops*.cc). What is read
 * last in an operation is copied last, so addresses are all known before its kernel runs.
 */
import { InputError } from "@zerogate/core";
import { type FlatName, tensorBytes } from "@zerogate/core/engine";
import type { Operations } from "./addon.ts";
import { weightDtypes } from "./engine.ts";
import {
  type Arguments,
  type Define,
  type HeadFields,
  type Operation,
  offsets,
  readArguments,
} from "./wasm_arguments.ts";
import { deltaNets } from "./wasm_delta.ts";
import { flatKernels } from "./wasm_flat.ts";
import type { WasmMemory } from "./wasm_memory.ts";

const floatsQ = ([T, H, , d]: HeadFields) => T * H * d;
const floatsX = ([T, H, G, d]: HeadFields) => T * (H + 2 * G) * d;

export function wasmOperations(memory: WasmMemory): Operations {
  const operation: Define =
    (name, run) =>
    (_engine, ...values) => {
      const args = readArguments(`run ${name}`, memory, values);
      try {
        if (run(args) !== 0) return;
      } finally {
        args.end();
      }
      throw new InputError(`Cannot run ${name}`, "its scratch would pass the end of the wasm engine's memory");
    };
  const flat = Object.fromEntries(
    Object.entries(flatKernels(memory)).map(([name, run]) => [name, operation(name, run)]),
  ) as Pick<Operations, FlatName>;

  return {
    ...flat,
    ...maps(memory, operation),
    ...grouped(memory, operation),
    ...attentions(memory, operation),
    ...promptAttentions(memory, operation),
    ...deltaNets(memory, operation),
    headLoss: headLoss(memory, operation),
  };
}

/** Tokens to rows, and products with a weight. */
function maps({ kernels }: WasmMemory, operation: Define): Pick<Operations, "embed" | "linear" | "linearBackward"> {
  return {
    embed: operation("embed", (args) => {
      const scale = args.number("scale");
      const table = args.weight("table");
      const ids = args.ints("ids_T");
      const [, , rows, columns] = table;
      const bad = ids.find((id) => id < 0 || id >= rows);
      if (bad !== undefined) throw new RangeError(`Cannot embed token ${bad}: the vocabulary has ${rows} entries`);
      const y = args.array("y_TD", ids.length * columns);
      const residual = args.arrayOrNull("residual", ids.length * columns);
      return kernels.embed(y, ...table, args.copy(ids), residual, ids.length, scale);
    }),
    linear: operation("linear", (args) => {
      const { T, from, part, rows, columns, all } = partOfWeight(args, "linear");
      const [y, x] = [args.array("y", T * rows), args.array("x", T * columns)];
      const residual = args.arrayOrNull("residual", T * rows);
      const [bias, dtype, biasRows, biasColumns] = args.weightOrNull("bias");
      const numbers = biasRows * biasColumns;
      if (bias !== 0 && numbers !== all) {
        throw new RangeError(`Cannot run linear: bias has ${numbers} numbers, the weight has ${all} rows`);
      }
      const biasPart = bias === 0 ? 0 : bias + from * (dtype === 0 ? 4 : 2);
      return kernels.linear(y, x, ...part, biasPart, dtype, residual, T, args.choice("order", 3));
    }),
    linearBackward: operation("linearBackward", (args) => {
      const { T, part, rows, columns } = partOfWeight(args, "linearBackward");
      const [dx, dy] = [args.array("dx", T * columns), args.array("dy", T * rows)];
      return kernels.linearBackward(dx, dy, ...part, args.arrayOrNull("residual", T * columns), T);
    }),
  };
}

/** Groups of rows, each with its part of a weight's rows. */
function grouped(
  { kernels }: WasmMemory,
  operation: Define,
): Pick<Operations, "groupedLinear" | "groupedLinearBackward"> {
  const each = (args: Arguments, isBackward: boolean) => {
    const bounds = args.ints("bounds");
    const [address, dtype, rows, K, scales] = args.linearMap("weight");
    const N = rows / (bounds.length - 1);
    const rowBytes = bytesOfRow(dtype, K, scales);
    const [wide, narrow] = isBackward ? [K, N] : [N, K];
    const P = bounds.at(-1) ?? 0;
    const [y, x] = [args.array("y", P * wide), args.array("x", P * narrow)];
    const worked = Array.from(bounds.subarray(1), (to, g) => {
      const from = bounds[g] ?? 0;
      if (from === to) return true;
      const data = address + g * N * rowBytes;
      const part = [data, dtype, N, K, scales === 0 ? 0 : scales + 4 * g * N] as const;
      const arrays = [y + 4 * from * wide, x + 4 * from * narrow] as const;
      if (isBackward) return kernels.linearBackward(...arrays, ...part, 0, to - from) !== 0;
      return kernels.linear(...arrays, ...part, 0, 0, 0, to - from, 1) !== 0;
    });
    return Number(worked.every(Boolean));
  };
  return {
    groupedLinear: operation("groupedLinear", (args) => each(args, false)),
    groupedLinearBackward: operation("groupedLinearBackward", (args) => each(args, true)),
  };
}

function attentions(
  { kernels }: WasmMemory,
  operation: Define,
): Pick<Operations, "rope" | "attention" | "attentionBackward" | "cachedAttention"> {
  return {
    rope: operation("rope", (args) => {
      const heads = args.heads();
      const [T, , , d] = heads;
      if (d % 2 !== 0) throw new RangeError(`Cannot run rope: the head dimension is ${d}, an even one is needed`);
      const inverse = args.flag();
      const [qkv, cosSin] = [args.array("qkv_TX", floatsX(heads)), args.array("cosSin_Td", T * d)];
      return kernels.rope(qkv, cosSin, ...heads, inverse);
    }),

    attention: operation("attention", (args) => {
      const heads = args.heads(-1);
      const [T, H] = heads;
      const cu = offsets(args, "attention", T);
      const skips = skipsOf(args, "attention", cu);
      const [o, lse] = [args.array("o_TQ", floatsQ(heads)), args.array("lse_TH", T * H)];
      const qkv = args.array("qkv_TX", floatsX(heads));
      return kernels.attention(o, lse, qkv, args.copy(cu), cu.length - 1, ...heads, 0, 0, skips && args.copy(skips));
    }),
    attentionBackward: operation("attentionBackward", (args) => {
      const heads = args.heads();
      const [T, H] = heads;
      const cu = offsets(args, "attentionBackward", T);
      const skips = skipsOf(args, "attentionBackward", cu);
      const [dqkv, dO] = [args.array("dqkv_TX", floatsX(heads)), args.array("do_TQ", floatsQ(heads))];
      const [qkv, o] = [args.array("qkv_TX", floatsX(heads)), args.array("o_TQ", floatsQ(heads))];
      const lse = args.array("lse_TH", T * H);
      const skipsAt = skips && args.copy(skips);
      return kernels.attentionBackward(dqkv, dO, qkv, o, lse, args.copy(cu), cu.length - 1, ...heads, skipsAt);
    }),
    cachedAttention: operation("cachedAttention", (args) => {
      const heads = args.heads();
      const [T, H, G, d] = heads;
      const [X, Y] = [(H + 2 * G) * d, 2 * G * d];
      const cu = offsets(args, "cachedAttention", T);
      const S = cu.length - 1;
      const [o, qkv] = [args.array("o_TQ", floatsQ(heads)), args.array("qkv_TX", floatsX(heads))];
      const [starts, capacities] = [args.ints("starts", S), args.ints("capacities", S)];
      const sequences = Array.from(args.doubles("caches", S), (handle, s) => {
        const [begin = 0, end = 0, start = 0, capacity = 0] = [cu[s], cu[s + 1], starts[s], capacities[s]];
        const count = start + end - begin;
        if (start < 0 || count > capacity) {
          throw new RangeError(`Cannot keep ${count} tokens: the cache was made for ${capacity}`);
        }
        return { begin, end, start, cache: args.arrayOf("a cache", handle, capacity * Y) };
      });
      const caches = args.copy(Int32Array.from(sequences, ({ cache }) => cache));
      const [cuAt, startsAt] = [args.copy(cu), args.copy(starts)];
      const view = new Float32Array(kernels.memory.buffer);
      for (const { begin, end, start, cache } of sequences) {
        for (let t = begin; t < end; t++) {
          const keys = qkv / 4 + t * X + H * d;
          view.copyWithin(cache / 4 + (start + t - begin) * Y, keys, keys + Y);
        }
      }
      return kernels.attention(o, 0, qkv, cuAt, S, ...heads, caches, startsAt, 0);
    }),
  };
}

function promptAttentions(
  { kernels }: WasmMemory,
  operation: Define,
): Pick<Operations, "promptAttention" | "promptAttentionBackward"> {
  return {
    promptAttention: operation("promptAttention", (args) => {
      const heads = args.heads();
      const sets = promptSets(args, heads, "promptAttention");
      const [y, o] = [args.array("y_TQ", floatsQ(heads)), args.array("o_TQ", floatsQ(heads))];
      const qkv = args.array("qkv_TX", floatsX(heads));
      return kernels.promptAttention(y, o, qkv, ...heads, sets.copy(), sets.S);
    }),
    promptAttentionBackward: operation("promptAttentionBackward", (args) => {
      const heads = args.heads();
      const [, H, G, d] = heads;
      const sets = promptSets(args, heads, "promptAttentionBackward");
      const [dkvs, dgates] = [args.doubles("dkv_KY", sets.S), args.doubles("dgate_H", sets.S)];
      const outputs = Array.from(dkvs, (dkv, s) => {
        const own = args.arrayOf("dkv_KY", dkv, 2 * sets.prompts(s) * G * d);
        return [own, args.arrayOf("dgate_H", dgates[s], H)] as const;
      });
      const [dO, qkv] = [args.array("do_TQ", floatsQ(heads)), args.array("qkv_TX", floatsX(heads))];
      const dqkv = args.arrayOrNull("dqkv_TX", floatsX(heads));
      return kernels.promptAttentionBackward(dqkv, dO, qkv, ...heads, sets.copy(outputs), sets.S);
    }),
  };
}

function headLoss({ kernels }: WasmMemory, operation: Define): Operation {
  return operation("headLoss", (args) => {
    const [R, cap, cells] = [args.size("R", 0), args.cap(), args.ints("cells")];
    const scales = args.floats("scales", cells.length);
    const rows = cells.reduce((sum, own) => sum + own, 0);
    if (rows !== R || cells.some((own) => own < 0)) {
      throw new RangeError(`Cannot run headLoss: its cells have ${rows} rows, there are ${R}`);
    }
    const head = args.weight("head_VD");
    const [, , V, D] = head;
    const labels = args.ints("labels_R", R);
    const bad = labels.find((label) => label < 0 || label >= V);
    if (bad !== undefined) throw new RangeError(`Cannot score label ${bad}: the head has ${V} rows`);
    const [nll, hit, y] = [args.array("nll_R", R), args.array("hit_R", R), args.array("y_RD", R * D)];
    const dy = args.arrayOrNull("dy_RD", R * D);
    const labelsAt = args.copy(labels);
    let at = 0;
    return Number(
      cells.every((own, c) => {
        const [few, wide] = [4 * at, 4 * at * D];
        const cell = [nll + few, hit + few, dy === 0 ? 0 : dy + wide, y + wide, ...head, labelsAt + few] as const;
        at += own;
        return kernels.headLoss(...cell, own, scales[c] ?? 0, cap) !== 0;
      }),
    );
  });
}

/** Numbers of one set in `sets`: rows of its keys and values in all, its first and the one behind its last, its tokens. */
const SET_FIELDS = 5;

/** Prompt sets as native/include/kernels.h has them: keys and values, gates, K, tokens, and the outputs of a backward. */
function promptSets(args: Arguments, [T, H, G, d]: HeadFields, name: string) {
  const wrong = (problem: string) => new RangeError(`Cannot run ${name}: ${problem}`);
  const bounds = args.ints("sets");
  const S = bounds.length / SET_FIELDS;
  if (!Number.isInteger(S)) throw wrong(`sets has ${bounds.length} numbers, ${SET_FIELDS} a set are needed`);
  const [gates, kvs] = [args.floats("gate_SH", S * H), args.doubles("kv_RY", S)];
  let next = 0;
  const sets = Array.from(kvs, (kv, s) => {
    const [R = 0, first = 0, end = 0, from = 0, to = 0] = bounds.subarray(s * SET_FIELDS);
    if (from < 0 || from > to || to > T) throw wrong(`tokens ${from} to ${to} are asked for, there are ${T}`);
    if (from < next) throw wrong(`a set begins at token ${from}, the one before it ends at ${next}`);
    if (first < 0 || first >= end || end > R) throw wrong(`rows ${first} to ${end} are asked for, there are ${R}`);
    next = to;
    return { kv: args.arrayOf("kv_RY", kv, R * 2 * G * d) + 4 * first * 2 * G * d, K: end - first, from, to };
  });
  return {
    S,
    prompts: (s: number) => sets[s]?.K ?? 0,
    copy(outputs: readonly (readonly [dkv: number, dgate: number])[] = []) {
      const gatesAt = args.copy(gates);
      const fields = sets.flatMap(({ kv, K, from, to }, s) => {
        return [kv, gatesAt + 4 * s * H, K, from, to, ...(outputs[s] ?? [0, 0])];
      });
      return args.copy(Int32Array.from(fields));
    },
  };
}

/** A weight's rows `from` … `to` as a weight; `all` is how many there are. */
function partOfWeight(args: Arguments, name: string) {
  const [T, from, to] = [args.size("T", 0), args.size("from", 0), args.size("to", 1)];
  const [address, dtype, all, columns, scales] = args.linearMap("weight");
  if (from >= to || to > all) {
    throw new RangeError(`Cannot run ${name}: rows ${from} to ${to} are asked for, the weight has ${all}`);
  }
  const rows = to - from;
  const begin = address + from * bytesOfRow(dtype, columns, scales);
  const part = [begin, dtype, rows, columns, scales === 0 ? 0 : scales + 4 * from] as const;
  return { T, from, part, rows, columns, all };
}

/** Bytes of a row of a weight; the scales of int8 lie elsewhere. */
function bytesOfRow(dtype: number, columns: number, scales: number): number {
  return scales === 0 ? tensorBytes(weightDtypes[dtype] ?? "f32", [1, columns]) : columns;
}

/** Leading tokens of each sequence that have no query; 0 for an empty list. */
function skipsOf(args: Arguments, name: string, cu: Int32Array): Int32Array | 0 {
  const list = args.ints("skips_S");
  if (list.length === 0) return 0;
  const S = cu.length - 1;
  const fits = list.every((skip, s) => skip >= 0 && skip <= (cu[s + 1] ?? 0) - (cu[s] ?? 0));
  if (list.length === S && fits) return list;
  throw new RangeError(`Cannot run ${name}: skips_S must have 0 to all tokens of each of ${S} sequences`);
}
