import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addressOf, type Library, memoryAt, openLibrary } from "./library.ts";

const SOURCE = `
#include <cstdint>
#include <cstring>
extern "C" {
int32_t answer = 42;
int32_t add32(int32_t a, int32_t b) { return a + b; }
uint32_t flip(uint32_t a) { return ~a; }
int64_t negate(int64_t a) { return -a; }
uint64_t same(uint64_t a) { return a; }
size_t length(const char* text) { return text ? std::strlen(text) : 0; }
double scale(float a, double b) { return a * b; }
const char* word(int32_t n) { return n == 0 ? nullptr : "gate"; }
void* where(void* p) { return p; }
void count_up(int32_t* out, int32_t n, int32_t value) { for (int32_t i = 0; i < n; ++i) out[i] = value + i; }
// Four MiB of stack, which koffi's default would not survive.
int32_t deep(int32_t n) { volatile char room[4096]; room[n % 4096] = 1; return n == 0 ? room[0] : deep(n - 1) + room[n % 4096]; }
thread_local int32_t current = 0;
void set_current(int32_t value) { current = value; }
int32_t get_current() { return current; }
}`;

const compiler = (() => {
  try {
    execFileSync("c++", ["--version"], { stdio: "ignore" });
    return "";
  } catch {
    return " (skipped: no C++ compiler to build the library)";
  }
})();

const folder = mkdtempSync(join(tmpdir(), "zerogate-ffi-"));
const file = join(folder, "libsample.so");
const open = (): Library => openLibrary({ name: "the sample", candidates: [file], remedy: "build it" });

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a library that is nowhere is an error with every try and the remedy", () => {
  const candidates = ["libzerogate-nowhere.so.1", join(folder, "absent.so")];
  const attempt = () =>
    openLibrary({ name: "Open MPI", candidates, remedy: "install it with apt-get install openmpi-bin" });
  expect(attempt).toThrow(
    /^Cannot load Open MPI:\n {2}- libzerogate-nowhere\.so\.1: .+\n {2}- .+absent\.so: .+\n {2}- install it/,
  );
});

describe.skipIf(compiler !== "")(`a library in C${compiler}`, () => {
  const table = {
    add32: { result: "int32", parameters: ["int32", "int32"] },
    flip: { result: "uint32", parameters: ["uint32"] },
    negate: { result: "int64", parameters: ["int64"] },
    same: { result: "uint64", parameters: ["uint64"] },
    length: { result: "size", parameters: ["string"] },
    scale: { result: "float64", parameters: ["float32", "float64"] },
    word: { result: "string", parameters: ["int32"] },
    where: { result: "pointer", parameters: ["pointer"] },
    count_up: { result: "void", parameters: ["pointer", "int32", "int32"] },
    deep: { result: "int32", parameters: ["int32"] },
    set_current: { result: "void", parameters: ["int32"] },
    get_current: { result: "int32", parameters: [] },
  } as const;
  let sample: ReturnType<typeof bind>;
  const bind = () => open().functions(table);

  beforeAll(() => {
    writeFileSync(join(folder, "sample.cc"), SOURCE);
    execFileSync("c++", ["-shared", "-fPIC", "-O0", "-o", file, join(folder, "sample.cc")]);
    sample = bind();
  });

  test("the first candidate that loads is taken", () => {
    const library = openLibrary({ name: "the sample", candidates: ["libnowhere.so", file], remedy: "build it" });
    expect(library.path).toBe(file);
  });

  test("numbers arrive and return whole at the ends of their ranges", () => {
    expect(sample.add32(2 ** 31 - 1, -(2 ** 31))).toBe(-1);
    expect(sample.flip(0)).toBe(2 ** 32 - 1);
    expect(sample.negate(-(2n ** 62n))).toBe(2n ** 62n);
    expect(sample.same(2n ** 64n - 1n)).toBe(2n ** 64n - 1n);
    expect(sample.same(7n)).toBe(7n); // koffi gives a number here
    expect(sample.scale(0.5, 3)).toBe(1.5);
  });

  test("strings are UTF-8 in both directions, and null is null", () => {
    expect(sample.length("Ümlaut")).toBe(7n);
    expect(sample.length(null)).toBe(0n);
    expect(sample.word(1)).toBe("gate");
    expect(sample.word(0)).toBeNull();
  });

  test("a view's memory is written in place, shared memory and offsets included", () => {
    const shared = new Int32Array(new SharedArrayBuffer(16), 4, 3);
    sample.count_up(shared, 3, 5);
    expect([...new Int32Array(shared.buffer)]).toEqual([0, 5, 6, 7]);
    expect(sample.where(null)).toBe(0n);
    expect(sample.where(shared)).toBe(sample.where(new Int32Array(shared.buffer)) + 4n);
  });

  test("a call that C would misread never reaches C", () => {
    const wrong = sample as unknown as Record<string, (...values: unknown[]) => unknown>;
    const cases: [string, unknown[], RegExp][] = [
      ["add32", [1], /^Cannot call add32: it has 2 parameters, got 1 arguments$/],
      ["add32", [1, 2 ** 31], /argument 2 is number 2147483648, a whole number of 32 bits is needed/],
      ["add32", [1, 1.5], /argument 2 is number 1\.5/],
      ["flip", [-1], /argument 1 is number -1/],
      ["same", [1], /argument 1 is number 1, a bigint from 0 of 64 bits is needed/],
      ["same", [-1n], /argument 1 is -1n/],
      ["negate", [2n ** 63n], /argument 1 is 9223372036854775808n/],
      ["where", [4096], /argument 1 is number 4096, a view of memory/],
      ["where", [new SharedArrayBuffer(8)], /argument 1 is a bare SharedArrayBuffer/],
      ["length", ["a\0b"], /without zero bytes/],
    ];
    for (const [name, values, message] of cases) {
      expect(() => wrong[name]?.(...values), `${name}(${values.map(String).join()})`).toThrow(message);
      expect(() => wrong[name]?.(...values)).toThrow(TypeError);
    }
  });

  test("symbols that are not there are all named at once", () => {
    const nothing = { result: "void", parameters: [] } as const;
    const ask = () => open().functions({ ...table, gone: nothing, lost: nothing });
    expect(ask).toThrow(`Cannot use the sample: ${file} does not export gone, lost, another version of it is needed`);
    expect(open().has("add32")).toBe(true);
    expect(open().has("gone")).toBe(false);
    expect(() => open().address("gone")).toThrow("does not export gone");
  });

  test("the address of a view is where C finds it, and memory of C is seen at its address", () => {
    const values = new Int32Array(32).subarray(4);
    expect(addressOf(values)).toBe(sample.where(values));
    sample.count_up(addressOf(values), 3, 5);
    expect([...values.subarray(0, 4)]).toEqual([5, 6, 7, 0]);
    expect(new Int32Array(memoryAt(open().address("answer"), 4))[0]).toBe(42);
    expect(() => addressOf(new Int32Array(2))).toThrow("the view has 8 bytes, 64 are needed");
  });

  test("an exported variable has an address", () => {
    expect(open().address("answer")).toBe(open().address("answer"));
    expect(open().address("answer")).not.toBe(0n);
  });

  test("native code has room for four MiB of stack", () => {
    expect(sample.deep(1000)).toBe(1001);
  });

  test("calls run on the calling thread, so what a library keeps per thread stays", async () => {
    sample.set_current(1);
    const elsewhere = new Worker(
      `const { load } = require("koffi"); const { parentPort } = require("node:worker_threads");
       parentPort.postMessage(load(${JSON.stringify(file)}).func("get_current", "int32_t", [])());`,
      { eval: true },
    );
    expect(await new Promise((resolve) => elsewhere.once("message", resolve))).toBe(0);
    expect(sample.get_current()).toBe(1);
  });
});
