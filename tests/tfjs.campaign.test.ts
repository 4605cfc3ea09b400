/**
 * TensorFlow.js as the engine of the command: training in threads and in processes, an interruption, a lost process, evaluation
 * and generation; and the answers if it is not installed. `tfjs:node` joins where ZEROGATE_TFJS names a folder that has it.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { type Call, testFolder, zerogate } from "./support/cli.ts";
import { type TinyType, writeTinyBase } from "./support/tiny_base.ts";
import { adapterHash, stepLosses, tinyRun } from "./support/world.ts";

const preload = { NODE_OPTIONS: `--import ${new URL("chaos/preload.mjs", import.meta.url).href}` };

/** A folder with a tiny base and the flags of a run of three short steps on it. */
function tinyWorld(type: TinyType) {
  const folder = testFolder();
  writeTinyBase(join(folder, "base"), type);
  const flags = tinyRun(folder, {
    "--model": "base",
    "--adapter-layers": "2",
    "--steps": "3",
    "--batch-size": "4",
    "--max-length": "96",
    "--lr": "0.05",
    "--warmup-steps": "0",
  });
  const train = (out: string, more: readonly string[], call: Partial<Call> = {}) =>
    zerogate(["train", ...flags, "--out", out, "--json", ...more], { cwd: folder, ...call });
  const outcome = (out: string) => ({ adapter: adapterHash(join(folder, out)), steps: stepLosses(join(folder, out)) });
  return { folder, train, outcome };
}

const isThere = await zerogate(["doctor", "--json"], { cwd: testFolder() }).then(({ json }) => {
  const checks = json[0]?.["checks"] as { name: string; found: string }[];
  return (engine: string) => checks.find(({ name }) => name === `engine ${engine}`)?.found.endsWith("works") === true;
});

const engines: { engine: string; type: TinyType }[] = [
  { engine: "tfjs:cpu", type: "qwen2" },
  { engine: "tfjs:wasm", type: "gpt2" },
  { engine: "tfjs:node", type: "gemma" },
];

for (const { engine, type } of engines) {
  const absent = isThere(engine) ? "" : " (skipped: it is not installed, ZEROGATE_TFJS names no folder that has it)";
  describe.skipIf(absent !== "")(`${engine} with a ${type} base${absent}`, () => {
    const { folder, train, outcome } = tinyWorld(type);
    const model = ["--model", "base", "--adapter", "whole/adapter"];
    let whole: ReturnType<typeof outcome>;

    beforeAll(async () => {
      expect(await train("whole", ["--engine", engine, "--workers", "1"])).toMatchObject({ code: 0 });
      whole = outcome("whole");
    });

    test("two threads and two processes train the same bits as one thread", async () => {
      expect(await train("threads", ["--engine", engine, "--workers", "2"])).toMatchObject({ code: 0 });
      expect(outcome("threads")).toEqual(whole);
      expect(await train("processes", ["--engine", engine, "--workers", "2", "--isolate"])).toMatchObject({ code: 0 });
      expect(outcome("processes")).toEqual(whole);
    });

    test("a process that is killed in the middle of a step is replaced, no step is lost", async () => {
      mkdirSync(join(folder, "struck"));
      const fault = { device: { kind: "SIGKILL", device: 1, at: 2 }, note: join(folder, "struck", "note") };
      const machine = ["--engine", engine, "--workers", "2", "--isolate"];
      const env = { ...preload, ZEROGATE_CHAOS: JSON.stringify(fault) };
      const trained = await train("killed", machine, { env });
      expect(trained, trained.stderr).toMatchObject({ code: 0 });
      expect(trained.stderr).toContain("its process was ended by SIGKILL");
      expect(outcome("killed")).toEqual(whole);
    });

    test("an interrupted run resumes to the same bits", async () => {
      let isSent = false;
      const onLine = (line: string, send: (signal: "SIGINT") => void) => {
        if (isSent || !line.includes('"step":1,')) return;
        isSent = true;
        send("SIGINT");
      };
      const stopped = await train("parts", ["--engine", engine, "--workers", "2"], { onLine });
      expect(stopped, stopped.stderr).toMatchObject({ code: 130 });
      const resumed = await zerogate(["resume", "parts", "--json"], { cwd: folder });
      expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
      expect(outcome("parts")).toEqual(whole);
    });

    test("it evaluates and generates what the reference engine does", async () => {
      const evaluate = async (name: string) => {
        const args = ["eval", ...model, "--data", "held.json", "--max-length", "96", "--json", "--engine", name];
        return Number((await zerogate(args, { cwd: folder })).json[0]?.["loss"]);
      };
      const generate = async (name: string) => {
        const ask = ["--instruction", "Count the pigs.", "--max-new-tokens", "6", "--json", "--engine", name];
        return (await zerogate(["generate", ...model, ...ask], { cwd: folder })).json[0]?.["tokens"];
      };
      const loss = await evaluate("reference");
      expect(Math.abs((await evaluate(engine)) - loss)).toBeLessThan(1e-5 * loss);
      const tokens = await generate(engine);
      expect(tokens).toHaveLength(6);
      expect(tokens).toEqual(await generate("reference"));
    });
  });
}

describe("tfjs:node-gpu, its package one that computes on the CPU and notes which GPU its process sees,", () => {
  const { folder, train, outcome } = tinyWorld("qwen2");
  const installed = join(folder, "node_modules/@tensorflow/tfjs-node-gpu");

  beforeAll(async () => {
    mkdirSync(installed, { recursive: true });
    const engineTfjs = fileURLToPath(new URL("../packages/engine-tfjs/package.json", import.meta.url));
    const source = `
      const load = require("node:module").createRequire(${JSON.stringify(engineTfjs)});
      const tf = load("@tensorflow/tfjs-core");
      const { MathBackendCPU } = load("@tensorflow/tfjs-backend-cpu");
      class Backend extends MathBackendCPU {
        binding = { TF_Version: "of-tests" };
        isUsingGpuDevice = process.env.CUDA_VISIBLE_DEVICES !== "";
        isGPUPackage = true;
      }
      tf.registerBackend("tensorflow", () => new Backend());
      tf.copyRegisteredKernels("cpu", "tensorflow");
      const { CUDA_VISIBLE_DEVICES, TF_FORCE_GPU_ALLOW_GROWTH } = process.env;
      const line = [process.ppid, process.pid, CUDA_VISIBLE_DEVICES, TF_FORCE_GPU_ALLOW_GROWTH].join(" ");
      require("node:fs").appendFileSync(process.env.SEEN, line + "\\n");
      module.exports = tf;`;
    writeFileSync(join(installed, "index.js"), source);
    expect(await train("cpu", ["--engine", "tfjs:cpu", "--workers", "1"])).toMatchObject({ code: 0 });
  });

  /** Trains with n workers; returns what each process of a worker saw. */
  async function seenBy(out: string, workers: number, env: Readonly<Record<string, string>> = {}) {
    const seen = join(folder, `${out}.seen`);
    writeFileSync(seen, "");
    const machine = ["--engine", "tfjs:node-gpu", "--workers", String(workers)];
    const trained = await train(out, machine, { env: { ZEROGATE_TFJS: folder, SEEN: seen, ...env } });
    const lines = readFileSync(seen, "utf8").trimEnd().split("\n");
    return { trained, lines: lines.map((line) => line.split(" ")) };
  }

  const gpusOf = (lines: readonly string[][]) =>
    lines.map(([, , gpu = ""]) => gpu).toSorted((a, b) => Number(a) - Number(b));

  test("has a process for each GPU, and two train the same bits as one", async () => {
    const one = await seenBy("one", 1);
    expect(one.trained, one.trained.stderr).toMatchObject({ code: 0 });
    const two = await seenBy("two", 2, { CUDA_VISIBLE_DEVICES: "5,3" });
    expect(two.trained, two.trained.stderr).toMatchObject({ code: 0 });
    expect(one.lines.map(([, , gpu, growth]) => [gpu, growth])).toEqual([["0", "true"]]);
    expect(gpusOf(two.lines)).toEqual(["3", "5"]);
    expect(new Set(two.lines.map(([, pid]) => pid)).size).toBe(2);
    expect(new Set(two.lines.map(([parent]) => parent)).size).toBe(1);
    expect(outcome("one")).toEqual(outcome("cpu"));
    expect(outcome("two")).toEqual(outcome("cpu"));
  });

  test("replaces a process that is killed in the middle of a step by one on the same GPU, no step is lost", async () => {
    mkdirSync(join(folder, "struck"));
    const fault = { device: { kind: "SIGKILL", device: 1, at: 2 }, note: join(folder, "struck", "note") };
    const { trained, lines } = await seenBy("killed", 2, { ...preload, ZEROGATE_CHAOS: JSON.stringify(fault) });
    expect(trained, trained.stderr).toMatchObject({ code: 0 });
    expect(trained.stderr).toContain("its process was ended by SIGKILL");
    expect(gpusOf(lines)).toEqual(["0", "1", "1"]);
    expect(outcome("killed")).toEqual(outcome("cpu"));
  });

  test("refuses more workers than there are GPUs", async () => {
    const { trained } = await seenBy("many", 2, { CUDA_VISIBLE_DEVICES: "4" });
    expect(trained).toMatchObject({ code: 2, stdout: "" });
    expect(trained.stderr).toContain('TensorFlow sees no GPU where CUDA_VISIBLE_DEVICES is "": a card for each worker');
  });
});

test.each([
  ["tfjs:node-gpu", "npm install @tensorflow/tfjs-node-gpu@4.22.0"],
  ["tfjs:node", "npm install @tensorflow/tfjs-node@4.22.0"],
  ["tfjs:webgpu", "npm install webgpu@0.6.2 @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-webgpu@4.22.0"],
])(
  "%s, where it is not installed, is refused by every command with the line that installs it",
  async (engine, line) => {
    const { folder, train } = tinyWorld("qwen2");
    const call = { cwd: folder, env: { ZEROGATE_TFJS: "" } };
    const asked = [
      train("none", ["--engine", engine], call),
      zerogate(["eval", "--model", "base", "--data", "held.json", "--engine", engine], call),
      zerogate(["generate", "--model", "base", "--prompt", "a", "--engine", engine], call),
    ];
    for (const refused of await Promise.all(asked)) {
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(`Cannot use the engine ${engine}: it needs `);
      expect(refused.stderr).toContain(line);
    }
  },
);
