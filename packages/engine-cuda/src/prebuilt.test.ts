/** Kernels compiled before: which set an engine takes, and that one which is damaged, stale or foreign is not used. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { absent, fakeEnv, onRealGpu } from "../test/fake.ts";
import { compilerOf, openCompiler } from "./compiler.ts";
import { createEngine } from "./engine.ts";
import { withHash } from "./module_cache.ts";
import { openNvrtc } from "./native/nvrtc.ts";
import { openPrebuilt, prebuiltFolder, setFiles, setFolder } from "./prebuilt.ts";
import { gpuReports } from "./report.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "zerogate-prebuilt-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
  vi.stubEnv("ZEROGATE_CUDA_KERNELS", undefined);
  vi.stubEnv("ZEROGATE_CUDA_PREBUILT", "0");
});

type SetFile = ReturnType<typeof setFiles>[number];

/** Writes a set whose cubins are what `make` says. */
function writeSet(
  version: string,
  target: number,
  make = ({ name }: SetFile): Uint8Array => new TextEncoder().encode(`${version} sm_${target} ${name}`),
): string {
  const folder = setFolder(root, version, target);
  mkdirSync(folder, { recursive: true });
  for (const file of setFiles(version, target)) writeFileSync(join(folder, file.name), withHash(make(file)));
  return folder;
}

/** Changes a byte of one file of a set. */
function damage(folder: string): void {
  const [name = ""] = readdirSync(folder);
  const bytes = readFileSync(join(folder, name));
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(join(folder, name), bytes);
}

const chosen = (architecture: number, newest: number) => {
  const found = openPrebuilt(architecture, newest, root);
  return found && `${found.version} sm_${found.target}`;
};

test("a GPU takes code of its architecture or of the last below in its generation, of no newer CUDA than its driver's", () => {
  for (const [version, target] of [
    ["13.0", 80],
    ["13.0", 86],
    ["13.0", 90],
    ["12.9", 90],
  ] as const) {
    writeSet(version, target);
  }
  expect([80, 86, 87, 89, 90].map((architecture) => chosen(architecture, 13))).toEqual([
    "13.0 sm_80",
    "13.0 sm_86",
    "13.0 sm_86",
    "13.0 sm_86",
    "13.0 sm_90",
  ]);
  expect([75, 100, 120].map((architecture) => chosen(architecture, 13))).toEqual([undefined, undefined, undefined]);
  expect([chosen(90, 12), chosen(80, 12), chosen(90, 11)]).toEqual(["12.9 sm_90", undefined, undefined]);
  const [file] = setFiles("13.0", 90);
  const cubin = file && openPrebuilt(90, 13, root)?.find(file.source, file.options);
  expect(new TextDecoder().decode(cubin)).toBe(`13.0 sm_90 ${file?.name}`);
});

test("a set is used whole or not at all: with a damaged or missing file, or other sources, the next one is looked at", () => {
  const [newer, older] = [writeSet("13.0", 90), writeSet("12.9", 90)];
  damage(newer);
  expect(chosen(90, 13)).toBe("12.9 sm_90");
  rmSync(join(older, readdirSync(older)[0] ?? ""));
  expect(chosen(90, 13)).toBeUndefined();
  writeSet("13.0", 90);
  expect(chosen(90, 13)).toBe("13.0 sm_90");
  const kernels = join(root, "kernels");
  cpSync(fileURLToPath(new URL("../kernels", import.meta.url)), kernels, { recursive: true });
  vi.stubEnv("ZEROGATE_CUDA_KERNELS", kernels);
  expect(chosen(90, 13)).toBe("13.0 sm_90");
  writeFileSync(join(kernels, "common.cuh"), `${readFileSync(join(kernels, "common.cuh"), "utf8")}\n`);
  expect(chosen(90, 13)).toBeUndefined();
});

test("ZEROGATE_CUDA_PREBUILT names another folder, or 0 for none", () => {
  expect(prebuiltFolder({ ZEROGATE_CUDA_PREBUILT: root })).toBe(root);
  expect(prebuiltFolder({ ZEROGATE_CUDA_PREBUILT: "0" })).toBeUndefined();
  expect(prebuiltFolder({})).toMatch(/engine-cuda.prebuilt$/);
  expect(openPrebuilt(90, 13, undefined)).toBeUndefined();
  expect(openPrebuilt(90, 13, join(root, "none"))).toBeUndefined();
});

const unable = onRealGpu ? " (skipped: only the emulator's kernels can be made here)" : absent;

describe.skipIf(unable !== "")(`engines on the emulator${unable}`, () => {
  const writeReal = () => {
    const { cubin, version } = compilerOf(openNvrtc(13));
    return writeSet(version, 90, ({ source, options }) => cubin(source, options));
  };
  /** A product and a norm, and the engine's name. */
  const compute = async () => {
    const engine = createEngine({ compute: "bf16", tune: false });
    try {
      const numbers = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
      const weight = engine.matrix({ dtype: "f32", shape: [8, 8], bytes: new Uint8Array(numbers.buffer) });
      const ones = engine.matrix({ dtype: "f32", shape: [8], bytes: new Uint8Array(numbers.buffer, 0, 32) });
      const y = await engine.arena(async () => {
        const x = engine.linear(engine.upload(numbers), weight, { T: 8, toRead: true });
        return engine.read(engine.rmsNorm(x, ones, { T: 8, D: 8, eps: 1e-5 }).y_TD);
      });
      return { name: engine.name, y };
    } finally {
      engine.close();
    }
  };

  test("an engine with prebuilt kernels needs no NVRTC, has its version in the name, and computes the same", async () => {
    const before = await compute();
    writeReal();
    vi.stubEnv("ZEROGATE_CUDA_PREBUILT", root);
    vi.stubEnv("ZEROGATE_NVRTC", join(root, "none.so"));
    vi.stubEnv("ZEROGATE_CUDA_CACHE", join(root, "cache"));
    try {
      expect(await compute()).toEqual(before);
      expect(before.name).toContain("/nvrtc-13.0/");
      const { libraries, missing } = gpuReports();
      expect(libraries).toContainEqual({ name: "prebuilt kernels", found: `13.0 (${join(root, "13.0")})` });
      expect(missing).toEqual([]);
      damage(setFolder(root, "13.0", 90));
      await expect(compute()).rejects.toThrow(/NVRTC, the compiler of CUDA kernels/);
      expect(gpuReports().missing.join()).toContain("NVRTC");
    } finally {
      for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);
    }
    vi.stubEnv("ZEROGATE_CUDA_PREBUILT", root);
    expect(await compute()).toEqual(before); // a damaged set beside an NVRTC
  });

  test("what is not in the set is compiled by the same version, or refused", () => {
    vi.stubEnv("ZEROGATE_CUDA_PREBUILT", root);
    const own = { name: "own.cu", text: "KERNEL(k)(int n) {}", headers: {} };
    const gpu = { architecture: 90 };
    writeSet("12.9", 90);
    expect(openCompiler(gpu, 13).version).toBe("12.9");
    expect(() => openCompiler(gpu, 13).cubin(own, [])).toThrow(
      /^Cannot compile a kernel: prebuilt kernels are of NVRTC 12\.9, .* is 13\.0: ZEROGATE_CUDA_PREBUILT=0 compiles all of them$/,
    );
    writeSet("13.0", 90);
    expect(openCompiler(gpu, 13).cubin(own, []).length).toBeGreaterThan(1000);
  });
});
