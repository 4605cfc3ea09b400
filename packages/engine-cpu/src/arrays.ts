/** Arrays of one engine: memory of the binary behind a handle. */
import { type Arena, createArena, type DeviceArray } from "@zerogate/core/engine";
import type { Addon, NativeEngine } from "./addon.ts";

export interface CpuArray extends DeviceArray {
  readonly handle: number;
}

export function createArrays(
  addon: Pick<Addon, "take" | "release" | "endArena">,
  engine: NativeEngine,
): Arena<CpuArray> {
  return createArena({
    take: (length) => ({ length, handle: addon.take(engine, length) }),
    recycle: (array) => addon.release(engine, array.handle),
    endArena: () => addon.endArena(engine),
  });
}
