/**
 * bitsandbytes, 4 bits (nf4, fp4) and 8.
 *
 *   weight U8 [out · in / 2, 1]     two codes a byte, the first in the highest bits, numbers in the order of [out, in]
 *   weight.quant_map F32 [16], weight.absmax of each `blocksize` numbers: F32, or U8 with weight.nested_quant_map F32 [256] and
 *   weight.nested_absmax F32 of each `nested_blocksize`; weight.quant_state.bitsandbytes__nf4 U8: JSON
 *   w = map[code] · absmax,  absmax = nested_map[u8] · nested_absmax + nested_offset, in float32, then in the dtype of the state
 *
 *   weight I8 [out, in], SCB F32 [out]:  w = (code · SCB) · 1/127 in float32, then in the model's dtype
 *
 * Read from bitsandbytes 0.45 to 0.50 (`functional.py`: QuantState.as_dict, dequantize_4bit; `_ops.py`: int8_vectorwise_dequant), and
 * from transformers 5.18 (`quantizer_bnb_8bit.py`).
 */
import type { DType } from "../../engine/engine.ts";
import { isJsonObject } from "../json_fields.ts";
import { parseStrictJson } from "../strict_json.ts";
import type { Decode } from "../tensor_decoder.ts";
import {
  expectTensor,
  floatsOf,
  type PackedMap,
  type PackedTensor,
  type Packing,
  PackingError,
  required,
} from "./packing.ts";
import { signedBytes } from "./rows.ts";

const INVERSE_127 = Math.fround(7.874015718698502e-3);
const MAX_STATE_BYTES = 2 ** 16;
const dtypes: Readonly<Record<string, DType>> = { float32: "f32", float16: "f16", bfloat16: "bf16" };

export function bnb4(type: "nf4" | "fp4"): Packing {
  const name = `bitsandbytes ${type}`;
  const mark = `weight.quant_state.bitsandbytes__${type}`;
  const sides = ["absmax", "quant_map", "nested_absmax", "nested_quant_map"].map((side) => `weight.${side}`);
  return {
    name,
    codes: "weight",
    mark,
    sides: [...sides, mark],
    async unpack(map: PackedMap) {
      const state = await readState(required(map, mark), type);
      const { shape, dtype, blocksize } = state;
      const count = shape.reduce((a, b) => a * b, 1);
      const blocks = Math.ceil(count / blocksize);
      expectTensor("weight", map.codes, ["U8"], [count / 2, 1]);
      const values = required(map, "weight.quant_map");
      expectTensor("weight.quant_map", values, ["F32"], [16]);
      const maxima = await maximaOf(map, blocks, state);
      const open = async (): Promise<Decode> => {
        const [numbers, absmax] = [await floatsOf(values), await maxima()];
        return (bytes, out, first) => {
          for (let i = 0; i < out.length; i++) {
            const byte = bytes[i >> 1];
            out[i] = numbers[i % 2 === 0 ? byte >> 4 : byte & 15] * absmax[Math.floor((first + i) / blocksize)];
          }
        };
      };
      return { shape, dtype, decoder: { name, unitBytes: 1, unitNumbers: 2, open } };
    },
  };
}

/** Returns what reads the scale of each block. */
async function maximaOf(map: PackedMap, blocks: number, state: State): Promise<() => Promise<Float32Array>> {
  const absmax = required(map, "weight.absmax");
  const { nested } = state;
  if (nested === undefined) {
    expectTensor("weight.absmax", absmax, ["F32"], [blocks]);
    return () => floatsOf(absmax);
  }
  const [values, scales] = [required(map, "weight.nested_quant_map"), required(map, "weight.nested_absmax")];
  expectTensor("weight.absmax", absmax, ["U8"], [blocks]);
  expectTensor("weight.nested_quant_map", values, ["F32"], [256]);
  expectTensor("weight.nested_absmax", scales, ["F32"], [Math.ceil(blocks / nested.blocksize)]);
  return async () => {
    const [codes, table, largest] = [await absmax.read(), await floatsOf(values), await floatsOf(scales)];
    return Float32Array.from(codes, (code, i) => {
      return Math.fround(table[code] * largest[Math.floor(i / nested.blocksize)]) + nested.offset;
    });
  };
}

interface State {
  readonly shape: readonly [number, number];
  readonly dtype: DType;
  readonly blocksize: number;
  /** How the scales of blocks are packed in turn. */
  readonly nested: { readonly blocksize: number; readonly offset: number } | undefined;
}

async function readState(tensor: PackedTensor, type: string): Promise<State> {
  const bytes = tensor.shape.reduce((a, b) => a * b, 1);
  if (tensor.dtype !== "U8" || bytes > MAX_STATE_BYTES) {
    throw new PackingError(`its quant_state is ${tensor.dtype} of ${bytes} numbers, needed is JSON in U8`);
  }
  const wrong = (what: string) => new PackingError(`its quant_state ${what}`);
  let json: unknown;
  try {
    json = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(await tensor.read()));
  } catch (cause) {
    throw wrong(`is not JSON (${(cause as Error).message})`);
  }
  if (!isJsonObject(json)) throw wrong("is not an object");
  const { quant_type, blocksize, shape, nested_blocksize, nested_offset } = json;
  const dtype = typeof json["dtype"] === "string" ? dtypes[json["dtype"]] : undefined;
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  if (quant_type !== type) throw wrong(`says ${JSON.stringify(quant_type)}, needed is ${type}`);
  if (dtype === undefined)
    throw wrong(`has the dtype ${JSON.stringify(json["dtype"])}, needed is float32, float16 or bfloat16`);
  if (!isSize(blocksize)) throw wrong("has no blocksize");
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(isSize)) throw wrong("has no shape of two sizes");
  if (nested_blocksize === undefined && nested_offset === undefined) {
    return { shape: [shape[0], shape[1]], dtype, blocksize, nested: undefined };
  }
  if (!isSize(nested_blocksize) || typeof nested_offset !== "number") throw wrong("has no whole nested state");
  const nested = { blocksize: nested_blocksize, offset: Math.fround(nested_offset) };
  return { shape: [shape[0], shape[1]], dtype, blocksize, nested };
}

/** @param dtype is that of the model, to which transformers rounds. */
export function bnb8(dtype: DType): Packing {
  const name = "bitsandbytes 8 bits";
  return {
    name,
    codes: "weight",
    mark: "SCB",
    sides: ["SCB", "weight_format"],
    async unpack(map: PackedMap) {
      const [rows = 0, columns = 0] = map.codes.shape;
      const scales = required(map, "SCB");
      const format = map.side("weight_format");
      expectTensor("weight", map.codes, ["I8"], [rows, columns]);
      expectTensor("SCB", scales, ["F32"], [rows]);
      const order = format ? (await format.read())[0] : 0;
      if (order !== 0) throw new PackingError(`weight_format is ${order}, needed is 0, the order of rows`);
      const open = async (): Promise<Decode> => {
        const largest = await floatsOf(scales);
        return (bytes, out, first) => {
          for (let i = 0; i < out.length; i++) {
            const scaled = Math.fround(signedBytes[bytes[i]] * largest[Math.floor((first + i) / columns)]);
            out[i] = scaled * INVERSE_127;
          }
        };
      };
      return { shape: [rows, columns], dtype, decoder: { name, unitBytes: 1, unitNumbers: 1, open } };
    },
  };
}
