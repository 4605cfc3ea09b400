/**
 * The pickles inside of torch's files (protocol 2), read without executing anything. A pickle is a program for
 * a stack machine; of its opcodes only those are known that torch writes, of the functions that it may call only those
 * that put tensors together, and these are known by name, never looked up. Time and memory are linear in its bytes.
 */
import { createMachine, type Machine } from "./pickle_machine.ts";
import { isKind, isSize, isSizes, type PickleValue, storageDTypes, type TorchStorage } from "./pickle_values.ts";

/** What may be named. `argparse.Namespace` holds the settings in checkpoints of the original code. */
const callables = new Set([
  "collections.OrderedDict",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_parameter",
  "torch.Size",
  "argparse.Namespace",
  ...storageDTypes.keys(),
]);

/**
 * Returns the value of a pickle. Throws an `InputError` that names `path` if it is damaged, of another protocol, or wants a
 * function or class that is not one of the few that build tensors.
 */
export function parseTorchPickle(bytes: Uint8Array, path: string): PickleValue {
  const machine = createMachine(bytes, path);
  for (;;) {
    const opcode = machine.byte();
    const step = steps.get(opcode);
    if (step === undefined) {
      if (opcode === STOP) return machine.finish();
      throw machine.fail(`opcode 0x${opcode.toString(16).padStart(2, "0")} is none that torch writes`);
    }
    step(machine);
  }
}

const MARK = 0x28;
const STOP = 0x2e;

/** By opcode, in the words of Python's `pickletools`. */
const steps: ReadonlyMap<number, (m: Machine) => void> = new Map<number, (m: Machine) => void>([
  [0x80, (m) => protocol(m)], // PROTO
  [MARK, (m) => m.mark()],
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.uint(4) | 0)], // BININT
  [0x4b, (m) => m.push(m.uint(1))], // BININT1
  [0x4d, (m) => m.push(m.uint(2))], // BININT2
  [0x8a, (m) => m.push(longNumber(m.take(m.uint(1))))], // LONG1
  [0x47, (m) => m.push(float64(m.take(8)))], // BINFLOAT
  [0x58, (m) => m.push(utf8(m, m.take(m.uint(4))))], // BINUNICODE
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x85, (m) => tuple(m, 1)],
  [0x86, (m) => tuple(m, 2)],
  [0x87, (m) => tuple(m, 3)],
  [0x74, (m) => m.push(m.popMarked())], // TUPLE
  [0x61, (m) => append(m, [m.pop()])], // APPEND
  [0x65, (m) => append(m, m.popMarked())], // APPENDS
  [0x73, (m) => setItems(m, [m.pop(), m.pop()].toReversed())], // SETITEM
  [0x75, (m) => setItems(m, m.popMarked())], // SETITEMS
  [0x71, (m) => remember(m, m.uint(1))], // BINPUT
  [0x72, (m) => remember(m, m.uint(4))], // LONG_BINPUT
  [0x68, (m) => recall(m, m.uint(1))], // BINGET
  [0x6a, (m) => recall(m, m.uint(4))], // LONG_BINGET
  [0x63, (m) => global(m)], // GLOBAL
  [0x51, (m) => m.push(storage(m, m.pop()))], // BINPERSID
  [0x52, (m) => call(m)], // REDUCE
  [0x81, (m) => call(m)], // NEWOBJ
  [0x62, (m) => build(m)], // BUILD
]);

function protocol(m: Machine): void {
  const version = m.byte();
  if (version !== 2) throw m.refuse(`it is pickled with protocol ${version}, torch's is 2`);
}

function tuple(m: Machine, length: 1 | 2 | 3): void {
  m.push(Array.from({ length }, () => m.pop()).toReversed());
}

function append(m: Machine, items: readonly PickleValue[]): void {
  const list = m.pop();
  if (!Array.isArray(list)) throw m.fail("it appends to what is no list");
  for (const item of items) list.push(item);
  m.push(list);
}

function setItems(m: Machine, items: readonly PickleValue[]): void {
  const dict = m.pop();
  if (!(dict instanceof Map) || items.length % 2 !== 0) throw m.fail("it sets items of what is no dict");
  for (let i = 0; i < items.length; i += 2) {
    const [key, value] = [items[i], items[i + 1]];
    if (dict.has(key)) throw m.refuse(`it sets ${shown(key)} of a dict twice`);
    dict.set(key, value);
  }
  m.push(dict);
}

function remember(m: Machine, index: number): void {
  const value = m.pop();
  m.memo.set(index, value);
  m.push(value);
}

function recall(m: Machine, index: number): void {
  const value = m.memo.get(index);
  if (value === undefined) throw m.fail(`it recalls value ${index}, which it never stored`);
  m.push(value);
}

function global(m: Machine): void {
  const name = `${m.line()}.${m.line()}`;
  if (!callables.has(name)) {
    throw m.refuse(`it asks for ${shown(name)}, which may run code and is not among the names that make up tensors`);
  }
  m.push({ kind: "callable", name });
}

/** `("storage", torch.FloatStorage, "0", "cpu", 6)`; where the storage was makes no difference. */
function storage(m: Machine, id: PickleValue): TorchStorage {
  if (Array.isArray(id) && id.length === 5) {
    const [tag, type, key, location, elements] = id;
    const dtype = isKind(type, "callable") ? storageDTypes.get(type.name) : undefined;
    const isSound = tag === "storage" && typeof key === "string" && typeof location === "string" && isSize(elements);
    if (isSound && dtype !== undefined) return { kind: "storage", dtype, key, elements };
  }
  throw m.fail("it names a storage in a way that torch does not");
}

/** What the few callables would give. */
function call(m: Machine): void {
  const [args, callable] = [m.pop(), m.pop()];
  if (!isKind(callable, "callable") || !Array.isArray(args)) throw m.fail("it calls what cannot be called");
  const { name } = callable;
  const wrong = () => m.fail(`it calls ${name} in a way that torch does not`);
  if (name === "collections.OrderedDict" && args.length === 0) return m.push(new Map());
  if (name === "argparse.Namespace" && args.length === 0) return m.push({ kind: "opaque" });
  const [first] = args;
  if (name === "torch.Size" && args.length === 1 && Array.isArray(first)) return m.push(first);
  if (name === "torch._utils._rebuild_parameter" && args.length === 3 && isKind(first, "tensor")) return m.push(first);
  if (name === "torch._utils._rebuild_tensor_v2" && (args.length === 6 || args.length === 7)) {
    const [, offset, shape, strides] = args;
    if (!isKind(first, "storage") || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) throw wrong();
    if (shape.length !== strides.length || shape.length > 64) throw wrong();
    return m.push({ kind: "tensor", storage: first, offset, shape: [...shape], strides: [...strides] });
  }
  throw wrong();
}

/** Attributes of an OrderedDict (`_metadata` of a state dict) or of an opaque object: not needed here. */
function build(m: Machine): void {
  m.pop();
  const object = m.pop();
  if (!(object instanceof Map) && !isKind(object, "opaque")) throw m.fail("it sets attributes of what has none");
  m.push(object);
}

/** Two's complement, little-endian. */
function longNumber(bytes: Uint8Array): number {
  let value = 0n;
  for (const byte of bytes.toReversed()) value = (value << 8n) | BigInt(byte);
  return Number(BigInt.asIntN(8 * bytes.byteLength, value));
}

function float64(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, false);
}

function utf8(m: Machine, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw m.fail("a text is not UTF-8");
  }
}

function shown(value: PickleValue): string {
  return typeof value === "string" || typeof value === "number" ? JSON.stringify(value).slice(0, 200) : "a key";
}
