/** Engines at a named level, and the reason if there are none. */
import { probe } from "../src/addon.ts";
import { type CpuEngine, type CpuEngineOptions, createEngine } from "../src/engine.ts";

const { reason, ...found } = probe();

export const { levels, bf16Levels } = found;

/** For test titles. */
export const absent: string = reason === undefined ? "" : ` (skipped: ${reason})`;

export function openAt(level: string, options?: CpuEngineOptions): CpuEngine {
  const before = process.env["ZEROGATE_CPU_LEVEL"];
  process.env["ZEROGATE_CPU_LEVEL"] = level;
  try {
    return createEngine(options);
  } finally {
    if (before === undefined) delete process.env["ZEROGATE_CPU_LEVEL"];
    else process.env["ZEROGATE_CPU_LEVEL"] = before;
  }
}
