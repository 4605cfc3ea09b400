/**
 * The engine cuda through the command, on the emulator of packages/engine-cuda/emu: one, two and four GPUs, threads and processes
 * train the same bits; and the answers if something that it needs is missing, too old or too small.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { absent, fakeEnv } from "../packages/engine-cuda/test/fake.ts";
import { type Call, testFolder, zerogate } from "./support/cli.ts";
import { writeTinyBase } from "./support/tiny_base.ts";
import { adapterHash, stepLosses, tinyRun } from "./support/world.ts";

const env = { ...fakeEnv(), ZEROGATE_CUDA_DEBUG: "0", EMU_GPUS: "4" };

describe.skipIf(absent !== "")(`the engine cuda${absent}`, () => {
  const folder = testFolder();
  writeTinyBase(join(folder, "base"), "qwen2");
  const flags = tinyRun(folder, {
    "--model": "base",
    "--adapter-layers": "2",
    "--steps": "2",
    "--batch-size": "4",
    "--max-length": "64",
    "--cell-tokens": "64",
    "--lr": "0.05",
    "--warmup-steps": "0",
  });
  const train = (out: string, more: readonly string[], call: Partial<Call> = {}) =>
    zerogate(["train", ...flags, "--out", out, "--json", ...more], { cwd: folder, env, ...call });
  const outcome = (out: string) => ({ adapter: adapterHash(join(folder, out)), steps: stepLosses(join(folder, out)) });
  const cuda = ["--engine", "cuda", "--compute", "bf16"];

  test("one, two and four GPUs, in threads and in processes, train the same bits", async () => {
    const one = await train("one", [...cuda, "--devices", "0"]);
    expect(one, one.stderr).toMatchObject({ code: 0 });
    expect(await train("two", [...cuda, "--devices", "2,1"])).toMatchObject({ code: 0 });
    expect(await train("four", [...cuda, "--devices", "0,1,2,3"])).toMatchObject({ code: 0 });
    expect(await train("processes", [...cuda, "--devices", "1,3", "--isolate"])).toMatchObject({ code: 0 });
    for (const out of ["two", "four", "processes"]) expect(outcome(out), out).toEqual(outcome("one"));
  });

  test("in float32 it trains what the reference engine does, to rounding", async () => {
    expect(await train("f32", ["--engine", "cuda", "--devices", "0"])).toMatchObject({ code: 0 });
    expect(await train("reference", ["--engine", "reference", "--workers", "1"])).toMatchObject({ code: 0 });
    const [ours, right] = [outcome("f32").steps, outcome("reference").steps];
    for (const [i, [, loss]] of right.entries()) expect(Math.abs((ours[i]?.[1] ?? 0) - loss)).toBeLessThan(1e-4 * loss);
  });

  test.each([
    ["int8", ""],
    ["fp8", ""],
    ["nf4", " [M-nf4]"],
    ["int4", " [M-int4]"],
  ])("%s: it trains what the reference engine does with the same storage%s", async (storage) => {
    const more = ["--storage", storage];
    expect(await train(`cuda-${storage}`, ["--engine", "cuda", "--devices", "0", ...more])).toMatchObject({ code: 0 });
    const reference = await train(`reference-${storage}`, ["--engine", "reference", "--workers", "1", ...more]);
    expect(reference, reference.stderr).toMatchObject({ code: 0 });
    const [ours, right] = [outcome(`cuda-${storage}`).steps, outcome(`reference-${storage}`).steps];
    expect(right.length).toBeGreaterThan(0);
    for (const [i, [, loss]] of right.entries()) expect(Math.abs((ours[i]?.[1] ?? 0) - loss)).toBeLessThan(1e-4 * loss);
  });

  test("fp8 is refused where the engine does not read it", async () => {
    const refused = await train("cpu-fp8", ["--engine", "cpu", "--storage", "fp8"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /Cannot hold the base in fp8: the engine cpu does not compute with it: use --storage as-is or int8 or nf4 or int4, or the engine cuda or reference/,
    );
  });

  test("a GPU that falls off the bus is a dead worker: the others train the same bits", async () => {
    const more = [...cuda, "--devices", "0,1"];
    for (const isolate of [[], ["--isolate"]]) {
      const out = `fallen${isolate.join("")}`;
      const call = { env: { ...env, EMU_FAIL: "swiglu:700:1" } };
      const survived = await train(out, [...more, ...isolate], call);
      expect(survived, survived.stderr).toMatchObject({ code: 0 });
      expect(outcome(out)).toEqual(outcome("one"));
      expect(survived.stderr).toMatch(
        /worker 1 died at .+\(Cannot run swiglu on GPU 1 .+ILLEGAL_ADDRESS \(700\); the context is lost, .+it is started again/,
      );
    }
  });

  const asked = (more: readonly string[], gpus: string) => {
    const args = ["train", ...flags, ...cuda, "--out", "runs/asked", ...more, "--dry-run", "--json"];
    return zerogate(args, { cwd: folder, env: { ...env, EMU_GPUS: gpus } });
  };

  test("without --workers there is one for each GPU, or for each that is named, and the dry run says so [T-D14]", async () => {
    for (const [more, gpus, workers] of [
      [[], "3", 3],
      [[], "1", 1],
      [["--devices", "2,0"], "3", 2],
      [["--workers", "2"], "3", 2],
    ] as const) {
      const { json, stderr } = await asked(more, gpus);
      expect(json[0]?.["config"], stderr).toMatchObject({ workers });
    }
    expect(await train("default", cuda, { env: { ...env, EMU_GPUS: "2" } })).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(join(folder, "default/config.json"), "utf8"))).toMatchObject({ workers: 2 });
    expect(outcome("default")).toEqual(outcome("one"));
  });

  test.each([
    [
      ["--workers", "5"],
      "there are 2 GPUs that it can use, the driver lists 0 (Emulated GPU 9.0), 1 (Emulated GPU 9.0)",
      2,
    ],
    [["--workers", "3", "--devices", "1,0"], "devices names 2 GPUs", 2],
  ])(
    "more workers than GPUs are refused by the dry run and by train, which leaves nothing: %j [T-D14]",
    async (more, found, way) => {
      const dry = await asked(more, "2");
      const real = await train("runs/asked", [...cuda, ...more], { env: { ...env, EMU_GPUS: "2" } });
      const needed = `Cannot use the engine cuda: ${found}, and workers is ${more[1]}, a GPU each is needed: use --workers ${way}`;
      for (const { code, stderr } of [dry, real]) {
        expect(code).toBe(2);
        expect(stderr).toContain(needed);
      }
      expect(existsSync(join(folder, "runs"))).toBe(false);
    },
  );

  test("a resume on fewer GPUs names the way, and --devices goes before the stored number of workers [T-D14]", async () => {
    const call = { cwd: folder, env: { ...env, EMU_GPUS: "1" } };
    cpSync(join(folder, "one"), join(folder, "moved"), { recursive: true });
    const file = join(folder, "moved/config.json");
    const { devices: _, ...config } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...config, workers: 4 }));
    const refused = await zerogate(["resume", "moved", "--steps", "3", "--accept-change", "steps"], call);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("there is 1 GPU that it can use");
    const more = ["--devices", "0", "--steps", "3", "--accept-change", "steps"];
    const resumed = await zerogate(["resume", "moved", ...more], call);
    expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
  });

  test("a start that a GPU refuses leaves nothing of its own, and the same command works later [T-D14]", async () => {
    mkdirSync(join(folder, "there"));
    const entries = (path: string) => (existsSync(path) ? readdirSync(path) : undefined);
    const small = { env: { ...env, EMU_MEMORY: "33700000" } };
    for (const [out, left, before] of [
      ["new/deep/run", "new", undefined],
      ["there/run", "there/run", undefined],
      ["there", "there", []],
    ] as const) {
      const refused = await train(out, [...cuda, "--devices", "0"], small);
      expect(refused.code, refused.stderr).toBe(2);
      expect(refused.stderr).toMatch(/Cannot hold this on GPU 0/);
      expect(entries(join(folder, left)), out).toEqual(before);
    }
    expect(await train("there", [...cuda, "--devices", "0"])).toMatchObject({ code: 0 });
    expect(outcome("there")).toEqual(outcome("one"));
  });

  const evaluate = (more: readonly string[], call: Partial<Call> = {}) =>
    zerogate(["eval", "--model", "base", "--data", "data.json", "--max-length", "64", "--json", ...cuda, ...more], {
      cwd: folder,
      env,
      ...call,
    });

  test("eval takes all GPUs, those that are named, and processes, and reports a worker that dies [T-D14]", async () => {
    const all = await evaluate([]);
    expect(all, all.stderr).toMatchObject({ code: 0 });
    for (const more of [
      ["--devices", "3"],
      ["--devices", "2,0", "--isolate"],
    ]) {
      const { json, stderr } = await evaluate(more);
      expect(json, stderr).toEqual(all.json);
    }
    const refused = await evaluate(["--devices", "4"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/there is no GPU 4, the driver lists/);
    expect((await evaluate(["--workers", "5"])).stderr).toContain("there are 4 GPUs that it can use");
    const fallen = await evaluate(["--devices", "0,1"], { env: { ...env, EMU_FAIL: "swiglu:700:1" } });
    expect(fallen.json, fallen.stderr).toEqual(all.json);
    expect(fallen.stderr).toMatch(/warning: worker 1 died at .+ILLEGAL_ADDRESS \(700\)/);
  });

  test("generate and chat answer on the GPU that is named, and on one only [T-D14]", async () => {
    const answer = (more: readonly string[]) => {
      const args = [
        "generate",
        "--model",
        "base",
        "--prompt",
        "One",
        "--max-new-tokens",
        "4",
        "--json",
        ...cuda,
        ...more,
      ];
      return zerogate(args, { cwd: folder, env: { ...env, EMU_FAIL: "swiglu:700:1" } });
    };
    const first = await answer([]);
    expect(first, first.stderr).toMatchObject({ code: 0 });
    expect((await answer(["--devices", "2"])).json[0]?.["tokens"]).toEqual(first.json[0]?.["tokens"]);
    expect((await answer(["--devices", "1"])).stderr).toMatch(/Cannot run swiglu on GPU 1 /);
    const chat = (more: readonly string[]) =>
      zerogate(["chat", "--model", "base", ...cuda, ...more], { cwd: folder, env, input: "/quit\n" });
    expect(await chat(["--devices", "2"])).toMatchObject({ code: 0 });
    for (const several of [await answer(["--devices", "0,2"]), await chat(["--devices", "0,2"])]) {
      expect(several.code).toBe(2);
      expect(several.stderr).toMatch(
        /Cannot answer on several GPUs: devices names 2 GPUs, one answers: use --devices 0/,
      );
    }
    expect((await answer(["--devices", "x"])).stderr).toMatch(/--devices is "x", expected numbers of GPUs, as 0,1,2/);
    expect((await chat(["--devices", "4"])).stderr).toMatch(/there is no GPU 4/);
  });

  test("doctor lists GPUs and libraries, and lets each GPU work for a second", async () => {
    const { json, stderr } = await zerogate(["doctor", "--json"], { cwd: folder, env: { ...env, EMU_GPUS: "2" } });
    const checks = json[0]?.["checks"] as { name: string; ok: boolean; found: string }[];
    const cudas = checks.filter(({ name }) => /cuda|GPU/.test(name) && !name.includes("tfjs"));
    expect(
      cudas.map(({ name, ok }) => [name, ok]),
      stderr,
    ).toEqual([
      ["engine cuda", true],
      ["GPU 0", true],
      ["GPU 1", true],
    ]);
    expect(cudas[0]?.found).toMatch(/^driver CUDA 13\.0 \(.+\), NVRTC 13\.0 \(.+\), cuBLASLt 130101 \(.+\)$/);
    expect(cudas[1]?.found).toMatch(
      /^Emulated GPU 9\.0, 4\.0 GiB, compute capability 9\.0: works, largest error .+ TFLOP\/s$/,
    );
  });

  test.each([
    [
      { ZEROGATE_LIBCUDA: "/none/libcuda.so" },
      [],
      /Cannot load the NVIDIA driver \(libcuda\):[^]*\/none\/libcuda\.so: [^]*it comes with NVIDIA's driver/,
    ],
    [
      { ZEROGATE_NVRTC: "/none/libnvrtc.so" },
      [],
      /Cannot load NVRTC[^]*\/none\/libnvrtc\.so: [^]*pip install nvidia-cuda-nvrtc/,
    ],
    [{ ZEROGATE_CUBLASLT: "/none/lt.so" }, [], /Cannot load cuBLASLt[^]*\/none\/lt\.so: [^]*pip install nvidia-cublas/],
    [{ EMU_DRIVER: "11040" }, [], /supports CUDA 11\.4, 12\.0 or newer is needed: update the driver \(525 or newer\)/],
    [{ EMU_GPUS: "0" }, [], /cuInit says CUDA_ERROR_NO_DEVICE, a GPU that the driver can use is needed/],
    [
      { EMU_CC: "7.5" },
      [],
      /GPU 0 \(Emulated GPU 7\.5\): its compute capability is 7\.5, 8\.0 \(Ampere\) or newer is needed/,
    ],
    [{}, ["--devices", "0,4"], /there is no GPU 4, the driver lists 0 \(Emulated GPU 9\.0\), 1 .+: name one of them/],
    [{}, ["--devices", "1,1"], /GPU 1 is named twice/],
    [{}, ["--engine", "cpu", "--compute", "f32"], /Cannot choose GPUs: the engine is cpu, devices are those of cuda/],
    [{}, ["--devices", "zero"], /--devices is "zero", expected numbers of GPUs, as 0,1,2/],
    [
      { EMU_MEMORY: "33700000" },
      [],
      /Cannot hold this on GPU 0[^]*the plan is [^]*cells of \d+ tokens fit|the base alone does not fit/,
    ],
    [
      { EMU_FAIL: "swiglu:700" },
      [],
      /Cannot run swiglu on GPU 0 \(Emulated GPU 9\.0\): cuLaunchKernel says CUDA_ERROR_ILLEGAL_ADDRESS \(700\)/,
    ],
  ])("what is missing or wrong is reported: %j %j", async (machine, more, message) => {
    const failed = await train(`failed-${Object.keys(machine).join("")}`, [...cuda, "--devices", "0", ...more], {
      env: { ...env, ...machine },
    });
    expect(failed.code, failed.stderr).toBeGreaterThan(0);
    expect(failed.stderr).toMatch(message);
  });
});
