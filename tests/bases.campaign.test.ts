/** Every type of tiny base goes the whole way: inspect, train, interruption, resume, eval, generate, chat. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { tinyTypes, writeTinyBase } from "./support/tiny_base.ts";
import { adapterHash, tinyRun } from "./support/world.ts";

describe.each(tinyTypes)("a %s base [M-gpt2, M-qwen2, M-gemma, M-qwen3_5_text, M-qwen3_moe, M-mixtral]", (type) => {
  const folder = testFolder();
  const parameters = writeTinyBase(join(folder, "base"), type);
  const changes = { "--model": "base", "--adapter-layers": "2", "--lr": "0.05", "--warmup-steps": "0" };
  const flags = tinyRun(folder, changes);
  const train = (out: string, more: string[], call: object = {}) =>
    zerogate(["train", ...flags, "--out", out, "--json", ...more], { cwd: folder, ...call });
  const model = ["--model", "base", "--adapter", "whole/adapter"];

  test("is inspected with its type and its number of parameters [M-load]", async () => {
    const { json } = await zerogate(["inspect", "base", "--json"], { cwd: folder });
    expect(json[0]).toMatchObject({ kind: "model", modelType: type, parameters, layers: 3 });
  });

  test("is trained, and resumed after an interruption to the same bits [M-train]", async () => {
    expect(await train("whole", ["--workers", "1"])).toMatchObject({ code: 0 });
    let isSent = false;
    const onLine = (line: string, send: (signal: "SIGINT") => void) => {
      if (isSent || !line.includes('"step":2,')) return;
      isSent = true;
      send("SIGINT");
    };
    expect(await train("parts", ["--workers", "2"], { onLine })).toMatchObject({ code: 130 });
    expect(await zerogate(["resume", "parts", "--json"], { cwd: folder })).toMatchObject({ code: 0 });
    expect(adapterHash(join(folder, "parts"))).toBe(adapterHash(join(folder, "whole")));
  });

  test("is evaluated, and its adapter lowers the loss", async () => {
    const loss = async (...adapter: string[]) => {
      const args = ["eval", "--model", "base", ...adapter, "--data", "data.json", "--max-length", "128", "--json"];
      return Number((await zerogate(args, { cwd: folder })).json[0]?.["loss"]);
    };
    expect(await loss("--adapter", "whole/adapter")).toBeLessThan(await loss());
  });

  test("generates the same tokens on the native and on the reference engine, and chats [M-generate, M-engines]", async () => {
    const ask = ["--instruction", "Count the pigs.", "--max-new-tokens", "9"];
    const tokens = async (engine: string) => {
      const args = ["generate", ...model, ...ask, "--json", "--engine", engine];
      return (await zerogate(args, { cwd: folder })).json[0]?.["tokens"];
    };
    const native = await tokens("auto");
    expect(native).toHaveLength(9);
    expect(await tokens("reference")).toEqual(native);
    const chat = await zerogate(["chat", ...model, "--max-new-tokens", "4"], { cwd: folder, input: "Hello.\n/quit\n" });
    expect(chat).toMatchObject({ code: 0 });
    expect(chat.stdout.length).toBeGreaterThan(0);
  });

  test("has an adapter that names the modules as Hugging Face does", () => {
    const config = JSON.parse(readFileSync(join(folder, "whole", "adapter", "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ target_modules: type === "gpt2" ? "attn" : "self_attn" });
    const head = readFileSync(join(folder, "whole", "adapter", "adapter_model.safetensors")).toString("latin1");
    const module = type === "gpt2" ? "transformer.h.2.attn" : "model.layers.2.self_attn";
    expect(head).toContain(`"base_model.model.${module}.adaption_prompt"`);
  });
});

test("a gpt2 has no more positions than it learned: longer records and prompts are refused", async () => {
  const folder = testFolder();
  writeTinyBase(join(folder, "base"), "gpt2");
  const flags = tinyRun(folder, { "--model": "base", "--max-length": "193" });
  const trained = await zerogate(["train", ...flags, "--out", "run"], { cwd: folder });
  expect(trained).toMatchObject({ code: 2 });
  expect(trained.stderr).toContain("maxLength is 193, the model's context is 192 tokens");
  const prompt = ["--prompt", "pig ".repeat(200)];
  const generated = await zerogate(["generate", "--model", "base", ...prompt], { cwd: folder });
  expect(generated).toMatchObject({ code: 2 });
  expect(generated.stderr).toContain("the model's context is 192");
});
