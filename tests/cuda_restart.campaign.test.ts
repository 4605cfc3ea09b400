/** What a thread leaves on a GPU when it ends: nothing, whether it was idle or computing. */

import { describe, expect, test, vi } from "vitest";
import { absent, fakeEnv, onRealGpu } from "../packages/engine-cuda/test/fake.ts";
import { openLibrary } from "../packages/ffi/src/index.ts";
import { openDevices } from "../packages/workers/src/index.ts";
import { step } from "../packages/workers/test/faulty_pool.ts";
import { tinySetup } from "../packages/workers/test/tiny_setup.ts";

const environment = fakeEnv();
for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);

const unable = onRealGpu ? " (skipped: only the emulator says what is in use)" : absent;

describe.skipIf(unable !== "")(`memory of a GPU${unable}`, () => {
  const usedBytes = () => {
    const candidates = [environment["ZEROGATE_LIBCUDA"] ?? ""];
    const library = openLibrary({ name: "the emulator", candidates, remedy: "" });
    const { emu_used_memory } = library.functions({ emu_used_memory: { result: "uint64", parameters: ["int32"] } });
    return Number(emu_used_memory(0));
  };
  const module = new URL("../packages/engine-cuda/dist/index.js", import.meta.url).href;
  const setup = { ...tinySetup(), engine: { module, options: { compute: "f32", tune: false } } };

  test("three pools one after another, closed at rest, leave nothing", async () => {
    for (let i = 0; i < 3; i++) {
      const pool = await openDevices({ workers: 1, setup, maxCells: 8 });
      expect(usedBytes()).toBeGreaterThan(1000);
      await pool.close();
      expect(usedBytes(), `after pool ${i + 1}`).toBe(0);
    }
  });

  test("a pool that is closed while it computes leaves nothing", async () => {
    const pool = await openDevices({ workers: 1, setup, maxCells: 8 });
    const work = pool.runStep(step).then(
      () => "done",
      () => "refused",
    );
    await pool.close();
    expect(await work).toBe("refused");
    expect(usedBytes()).toBe(0);
  });
});
