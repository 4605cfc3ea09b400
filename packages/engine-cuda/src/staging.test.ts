/** Uploads: the right bytes in the right order however the buffers turn, from pinned memory, with events that do not spin. */
import { describe, expect, test, vi } from "vitest";
import { absent, fakeEnv } from "../test/fake.ts";
import { type Gpu, openGpu } from "./gpu.ts";
import { CU } from "./native/numbers.ts";
import { createStaging } from "./staging.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

describe.skipIf(absent !== "")(`uploads${absent}`, () => {
  test("of many sizes come from pinned memory, may be changed at once, and arrive in order", () => {
    const gpu = openGpu(0);
    const [sources, flags]: [unknown[], unknown[]] = [[], []];
    const pinned: { from: bigint; to: bigint }[] = [];
    const call: Gpu["call"] = (what, name, ...args) => {
      gpu.call(what, name, ...args);
      if (name === "cuMemcpyHtoDAsync_v2") sources.push(args[1]);
      if (name === "cuEventCreate") flags.push(args[1]);
      if (name !== "cuMemHostAlloc") return;
      const [from = 0n] = args[0] as BigUint64Array;
      pinned.push({ from, to: from + (args[1] as bigint) });
    };
    const staging = createStaging({ ...gpu, call }, () => false);
    const sizes = Array.from({ length: 70 }, (_, i) => [1, 64 << 10, 700, (64 << 10) - 5, 70_000][i % 5] ?? 0);
    const out = new BigUint64Array(8);
    const total = sizes.reduce((a, b) => a + b);
    gpu.call("take memory", "cuMemAlloc_v2", out, BigInt(total));
    const [at = 0n] = out;
    const expected = new Uint8Array(total);
    let offset = 0;
    for (const [i, size] of sizes.entries()) {
      const bytes = Uint8Array.from({ length: size }, (_, n) => (n * 7 + i) & 255);
      expected.set(bytes, offset);
      staging.upload(at + BigInt(offset), bytes);
      bytes.fill(0);
      offset += size;
    }
    const got = new Uint8Array(total);
    staging.download(got, at);
    expect(Buffer.compare(got, expected)).toBe(0);
    expect(
      sources.filter((own) => !pinned.some(({ from, to }) => typeof own === "bigint" && own >= from && own < to)),
    ).toEqual([]);
    expect(pinned).toHaveLength(4);
    for (const flag of flags) expect(Number(flag) & CU.EVENT_BLOCKING_SYNC).toBe(CU.EVENT_BLOCKING_SYNC);
    expect(flags).toHaveLength(4);
    staging.close();
    gpu.call("free memory", "cuMemFree_v2", at);
    gpu.close();
  });
});
