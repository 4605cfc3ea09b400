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
    const sizes = Array.from({ length: 70 }, (_, i) => [1, 1 << 20, 700, (1 << 20) - 5, 1_100_000][i % 5] ?? 0);
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

  test("reads that are asked for together wait once, those of later ask again, and a large one comes in parts", async () => {
    const gpu = openGpu(0);
    let waits = 0;
    const synchronize = (what: string) => {
      waits++;
      gpu.synchronize(what);
    };
    const staging = createStaging({ ...gpu, synchronize }, () => false);
    const sizes = [5, 3 << 20, 700, 5 << 20, 1 << 20, 1];
    const out = new BigUint64Array(8);
    const large = (8 << 20) + 3;
    gpu.call("take memory", "cuMemAlloc_v2", out, BigInt(large));
    const [at = 0n] = out;
    const expected = Uint8Array.from({ length: large }, (_, n) => (n * 13) & 255);
    staging.upload(at, expected);
    for (const round of [1, 2]) {
      const got = sizes.map((size) => new Uint8Array(size));
      await Promise.all(got.map((bytes, i) => staging.read(bytes, at + BigInt(i))));
      for (const [i, bytes] of got.entries())
        expect(Buffer.compare(bytes, expected.subarray(i, i + bytes.length))).toBe(0);
      expect(waits).toBe(round);
    }
    const all = new Uint8Array(large);
    await staging.read(all, at);
    expect(Buffer.compare(all, expected)).toBe(0);
    staging.close();
    gpu.call("free memory", "cuMemFree_v2", at);
    gpu.close();
  });
});
