/** Compiled kernels on disk: found again, verified, named by what they are made of; and what a kernel that does not compile says. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { absent, fakeEnv, onRealGpu } from "../test/fake.ts";
import { createMemory } from "./device_memory.ts";
import { compileOptions } from "./kernel_sources.ts";
import { compiled } from "./module_cache.ts";
import { openNvrtc } from "./native/nvrtc.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-cuda-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const source = (text: string) => ({ name: "k.cu", text, headers: {} });

// The kernels here are written for the fake NVRTC.
const unable = onRealGpu ? " (skipped: only the emulator compiles these)" : absent;

describe.skipIf(unable !== "")(`the cache of modules${unable}`, () => {
  test("a module is compiled once for each source, option and version; a damaged file is compiled anew", () => {
    let count = 0;
    const real = openNvrtc(13);
    const nvrtc = { ...real, compile: (...args: Parameters<typeof real.compile>) => (count++, real.compile(...args)) };
    const get = (text: string, options: string[], version = real.version) =>
      compiled({ ...nvrtc, version }, source(text), options, folder);
    const first = get("KERNEL(k)(int n) {}", []);
    expect(get("KERNEL(k)(int n) {}", [])).toEqual(first);
    expect(count).toBe(1);
    get("KERNEL(k)(int n) { n++; }", []);
    get("KERNEL(k)(int n) {}", ["-DX=1"]);
    get("KERNEL(k)(int n) {}", [], "12.9");
    expect(count).toBe(4);
    expect(readdirSync(folder)).toHaveLength(4);
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, name));
      bytes[bytes.length >> 1] ^= 1;
      writeFileSync(join(folder, name), bytes);
    }
    expect(get("KERNEL(k)(int n) {}", []).length).toBe(first.length);
    expect(count).toBe(5);
    expect(readdirSync(folder)).toHaveLength(4);
  });

  test("a kernel that does not compile is reported with the compiler's message", () => {
    const compile = () => compiled(openNvrtc(13), source("KERNEL(k)(int n) { none(); }"), ["--std=c++17"], folder);
    expect(compile).toThrow(/^Cannot compile k\.cu: NVRTC says NVRTC_ERROR_COMPILATION with --std=c\+\+17\n[^]*none/);
  });

  test("a GPU newer than NVRTC gets code of its generation, or is refused", () => {
    const nvrtc = openNvrtc(13);
    expect(compileOptions(nvrtc, 103, [])[0]).toBe("--gpu-architecture=sm_100");
    expect(() => compileOptions(nvrtc, 130, [])).toThrow("Cannot compile kernels for sm_130: NVRTC 13.0");
  });
});

test("device memory is cut into blocks that touch nowhere, joined again, and taken from the driver once", () => {
  let [next, taken] = [1n << 20n, 0];
  const memory = createMemory({
    take(bytes) {
      taken++;
      const address = next;
      next += BigInt(bytes) + 4096n;
      return address;
    },
    give() {},
  });
  const sizes = [100, 5000, 512, 1, 70_000, 9 << 20];
  for (let round = 0; round < 3; round++) {
    const blocks = sizes.map((bytes) => memory.take(bytes)).flatMap((block) => block ?? []);
    const places = blocks
      .map(({ address, bytes }) => [Number(address), Number(address) + bytes] as const)
      .toSorted(([a], [b]) => a - b);
    for (const [i, [from]] of places.entries()) {
      expect(from % 512).toBe(0);
      expect(from).toBeGreaterThanOrEqual(places[i - 1]?.[1] ?? 0);
    }
    for (const i of [2, 0, 5, 1, 4, 3]) memory.give(blocks[i]);
  }
  expect(taken).toBe(1);
  expect(memory.usage()).toMatchObject({ used: 0, held: 16 << 20 });
  expect(memory.take(16 << 20)).toBeDefined();
  expect(taken).toBe(1);
});
