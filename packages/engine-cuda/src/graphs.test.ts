/** Decoding by CUDA graphs: the bits of decoding without, for any changes between the tokens, and never a wrong graph. */
import { type AdapterState, generateBatch, type TextRequest } from "@zerogate/core";
import type { Matrix } from "@zerogate/core/engine";
import { afterAll, describe, expect, test, vi } from "vitest";
import { tinyAdapter, tinyModel } from "../../core/test/tiny_model.ts";
import { absent, fakeEnv, onRealGpu } from "../test/fake.ts";
import { type CudaEngine, createEngine } from "./engine.ts";
import { type Gpu, openGpu } from "./gpu.ts";
import { createGraphs } from "./graphs.ts";

for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);

const engines: CudaEngine[] = [];
function open(graphs: boolean): CudaEngine {
  const engine = createEngine({ compute: "bf16", tune: false, debug: false, graphs });
  engines.push(engine);
  return engine;
}
afterAll(() => {
  for (const engine of engines) engine.close();
});

describe.skipIf(absent !== "")(`graphs${absent}`, () => {
  const changes = { contextLength: 64, eosTokenIds: [], vocabSize: 97 };
  const requests = (adapter: AdapterState): TextRequest[] => [
    { promptIds: [3, 1, 4, 1, 5], adapter, maxNewTokens: 7 },
    { promptIds: [9, 2], adapter, scale: 0.5, maxNewTokens: 4 },
    { promptIds: [6, 5, 3, 5], maxNewTokens: 9 },
    { promptIds: [8], adapter, maxNewTokens: 3 },
  ];
  /** Logits of every pass, as text: what sampling saw. */
  async function decoded(engine: CudaEngine): Promise<{ ids: unknown[]; logits: string[] }> {
    const logits: string[] = [];
    const read = engine.read;
    const listened = {
      ...engine,
      read: async (array: Parameters<typeof read>[0]) => {
        const values = await read(array);
        logits.push(Buffer.from(values.slice().buffer).toString("hex"));
        return values;
      },
    };
    const { config, model } = tinyModel(changes, listened);
    const ids: unknown[] = [];
    for await (const event of generateBatch(model, requests(tinyAdapter(config)), { maxTexts: 3 })) ids.push(event);
    return { ids, logits };
  }

  test("texts that come and go have the bits of decoding without graphs", async () => {
    const [plain, graphs] = [await decoded(open(false)), await decoded(open(true))];
    expect(graphs.logits).toEqual(plain.logits);
    expect(graphs.ids).toEqual(plain.ids);
    expect(plain.logits.length).toBeGreaterThan(8);
  });

  test("another weight or another number is another graph", async () => {
    const engine = open(true);
    const matrix = (phase: number) => {
      const values = Float32Array.from({ length: 16 * 16 }, (_, i) => Math.sin(i + phase));
      return engine.matrix({ dtype: "f32", shape: [16, 16], bytes: new Uint8Array(values.buffer) });
    };
    const [one, other] = [matrix(1), matrix(2)];
    const pass = (weight: Matrix, scale: number) =>
      engine.arena(async () => {
        const work = () => {
          const x = engine.embed(one, Int32Array.of(3, 1), { scale });
          return engine.linear(x, weight, { T: 2, toRead: true });
        };
        return [...(await engine.read(engine.repeated ? engine.repeated(work) : work()))];
      });
    const first = await pass(one, 1);
    const scaled = first.map((value) => 4 * value);
    for (let i = 0; i < 2; i++) expect(await pass(one, 1)).toEqual(first);
    for (let i = 0; i < 3; i++) expect(await pass(one, 4)).toEqual(scaled);
    for (let i = 0; i < 3; i++) expect(await pass(other, 1)).not.toEqual(first);
    expect(await pass(one, 1)).toEqual(first);
  });

  /** Graphs on a GPU of their own, and the driver calls that were made. */
  function watched() {
    const gpu = openGpu(0);
    const names: string[] = [];
    const call: Gpu["call"] = (what, name, ...args) => {
      names.push(name);
      gpu.call(what, name, ...args);
    };
    const given: string[] = [];
    const { calls } = gpu.driver;
    const counted: typeof calls = {
      ...calls,
      cuEventDestroy_v2: (event) => (given.push("event"), calls.cuEventDestroy_v2(event)),
      cuMemFreeHost: (address) => (given.push("memory"), calls.cuMemFreeHost(address)),
    };
    const own = { ...gpu, call, driver: { ...gpu.driver, calls: counted } };
    const out = new BigUint64Array(8);
    gpu.call("take memory", "cuMemAlloc_v2", out, 64n);
    const [at = 0n] = out;
    const uploadNow = (to: bigint, bytes: Uint8Array) =>
      call("copy", "cuMemcpyHtoDAsync_v2", to, bytes, BigInt(bytes.length), gpu.stream);
    const graphs = createGraphs(own, { uploadNow, afterwards: () => undefined });
    const read = () => {
      const bytes = new Uint8Array(64);
      gpu.call("read", "cuMemcpyDtoHAsync_v2", bytes, at, 64n, gpu.stream);
      return bytes[40];
    };
    const taken = () => names.splice(0);
    const copy = (length: number) =>
      graphs.enqueue(
        () => `copy ${length}`,
        () => call("copy", "cuMemcpyDtoDAsync_v2", at + 32n, at, BigInt(length), gpu.stream),
      );
    return { gpu, graphs, at, copy, read, taken, given };
  }

  test("what comes a second time is captured, from then on it is one launch, and another call is another graph", () => {
    const { gpu, graphs, at, copy, read, taken } = watched();
    const pass = (value: number, length: number) => {
      graphs.repeated(() => {
        graphs.upload(at, new Uint8Array(32).fill(value));
        copy(length);
      });
      return [read(), ...taken()];
    };
    const [upload, run] = ["cuMemcpyHtoDAsync_v2", "cuMemcpyDtoDAsync_v2"];
    const replayed = ["cuEventSynchronize", "cuGraphLaunch", "cuEventRecord"];
    expect(pass(1, 32)).toEqual([1, upload, run]);
    expect(pass(2, 32)).toEqual([2, ...captured(upload, run), ...replayed]);
    expect(pass(3, 32)).toEqual([3, ...replayed]);
    expect(pass(4, 4)).toEqual([3, upload, run]);
    expect(pass(5, 32)).toEqual([5, ...replayed]);
    graphs.close();
    gpu.close();
  });

  const captured = (...calls: string[]) => [
    "cuMemHostAlloc",
    "cuEventCreate",
    "cuStreamBeginCapture_v2",
    ...calls,
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphDestroy",
  ];

  test("waiting or allocating inside of a capture is refused, and the stream works on", () => {
    const { gpu, graphs, copy, read, at, given } = watched();
    const wrong = [
      () => gpu.synchronize("wait"),
      () => gpu.call("take memory", "cuMemAlloc_v2", new BigUint64Array(8), 64n),
      // A real driver may take it, and would read this memory at every launch.
      ...(onRealGpu ? [] : [() => gpu.call("copy", "cuMemcpyHtoDAsync_v2", at, new Uint8Array(64), 64n, gpu.stream)]),
    ];
    for (const [i, call] of wrong.entries()) {
      const pass = () => graphs.repeated(() => graphs.enqueue(() => `wrong ${i}`, call));
      pass();
      expect(pass).toThrow("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900)");
      expect(given.splice(0)).toEqual(["event", "memory"]); // of the graph that there is not
    }
    graphs.repeated(() => {
      graphs.upload(at, new Uint8Array(32).fill(9));
      copy(32);
    });
    expect(read()).toBe(9);
    expect(() =>
      graphs.repeated(() => {
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(graphs.isNoting()).toBe(false);
    graphs.close();
    gpu.close();
  });
});
