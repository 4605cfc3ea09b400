/** The stack machine of a pickle: its bytes, stack, marks and memo, within bounds. */
import { InputError } from "../errors.ts";
import type { PickleValue } from "./pickle_values.ts";

/** A checkpoint of 2,000 tensors makes some 50,000; a byte of pickle can make a Map of 200 bytes. */
const MAX_VALUES = 500_000;

export interface Machine {
  byte(): number;
  uint(bytes: 1 | 2 | 4): number;
  /** Returns the next bytes and goes on behind them. */
  take(length: number): Uint8Array;
  line(): string;
  push(value: PickleValue): void;
  pop(): PickleValue;
  mark(): void;
  /** What was pushed since the newest mark. */
  popMarked(): PickleValue[];
  readonly memo: Map<number, PickleValue>;
  finish(): PickleValue;
  fail(problem: string): InputError;
  /** For what is sound but not allowed: says what to do. */
  refuse(problem: string): InputError;
}

export function createMachine(bytes: Uint8Array, path: string): Machine {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: PickleValue[] = [];
  const marks: number[] = [];
  let at = 0;
  let values = 0;
  const count = () => {
    if (++values > MAX_VALUES) throw fail(`it makes more than ${MAX_VALUES} values`);
  };
  const fail = (problem: string) =>
    new InputError(`Cannot read ${path}`, `its pickle is damaged at byte ${at}: ${problem}`);
  const take = (length: number) => {
    if (length > bytes.byteLength - at) throw fail("it ends early");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const floor = () => marks.at(-1) ?? 0;
  return {
    memo: new Map(),
    fail,
    refuse: (problem) =>
      new InputError(`Cannot read ${path}`, `${problem}: save a dict of tensors and nothing else with torch.save`),
    take,
    byte: () => data.getUint8(take(1).byteOffset - bytes.byteOffset),
    uint(size) {
      const from = take(size).byteOffset - bytes.byteOffset;
      if (size === 1) return data.getUint8(from);
      return size === 2 ? data.getUint16(from, true) : data.getUint32(from, true);
    },
    line() {
      const end = bytes.indexOf(0x0a, at);
      if (end < 0 || end - at > 1000) throw fail("a name has no end");
      const text = new TextDecoder().decode(bytes.subarray(at, end));
      at = end + 1;
      return text;
    },
    push(value) {
      count();
      stack.push(value);
    },
    pop() {
      if (stack.length <= floor()) throw fail("it takes a value that is not there");
      return stack.pop() as PickleValue;
    },
    mark() {
      count();
      marks.push(stack.length);
    },
    popMarked() {
      const from = marks.pop();
      if (from === undefined) throw fail("it has no mark to go back to");
      return stack.splice(from);
    },
    finish() {
      const [value] = stack;
      if (stack.length !== 1 || value === undefined) throw fail(`it ends with ${stack.length} values`);
      if (at !== bytes.byteLength) throw fail("something follows its end");
      return value;
    },
  };
}
