/** Weights and exact sums need no SharedArrayBuffer, which a browser page lacks: the same bits without it. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const program = fileURLToPath(new URL("support/gradient_sums.mjs", import.meta.url));
const base = fileURLToPath(new URL("../packages/trainer/world/base", import.meta.url));

async function sumsOf(engine: string, memory: "own" | "shared") {
  const { stdout } = await promisify(execFile)(process.execPath, [program, base, engine, memory]);
  return JSON.parse(stdout) as { memory: string[]; isGlobal: boolean; problems: string[]; moved: number };
}

test.each(["reference", "wasm"])(
  "%s: a base is loaded and gradients are added and read where there is no SharedArrayBuffer, to the bits of shared memory",
  async (engine) => {
    const [own, shared] = await Promise.all([sumsOf(engine, "own"), sumsOf(engine, "shared")]);
    expect(own).toMatchObject({ isGlobal: false, memory: ["ArrayBuffer", "ArrayBuffer"], problems: [] });
    expect(own.moved).toBeGreaterThan(100);
    expect(shared).toEqual({ ...own, isGlobal: true, memory: ["SharedArrayBuffer", "SharedArrayBuffer"] });
  },
);
