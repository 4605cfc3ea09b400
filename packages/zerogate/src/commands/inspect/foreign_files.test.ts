/** What `inspect` says of files that zerogate did not write. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { serializeTorchFile, type Tensor } from "@zerogate/core/formats";
import { launcherNames, launchFiles } from "@zerogate/trainer/command";
import { describe, expect, test } from "vitest";
import { openPlace } from "../../../test/here.ts";
import type { Facts } from "./facts.ts";

const { at, run } = openPlace();

async function facts(path: string): Promise<Facts> {
  const { code, stderr, json } = await run(["inspect", path, "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(json).toHaveLength(1);
  const text = await run(["inspect", path]);
  expect([text.code, text.stderr]).toEqual([0, ""]);
  expect(text.stdout).toMatch(/^kind +\S/);
  return json[0] as Facts;
}

const tensor: Tensor = { dtype: "F32", shape: [2], bytes: new Uint8Array(8) };
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4000000000\n";
const alpaca = (extra: object) => JSON.stringify([{ instruction: "a", output: "b", ...extra }]);

describe("files from elsewhere", () => {
  test.each<readonly [name: string, content: string | Uint8Array, expected: Record<string, unknown>]>([
    ["model.safetensors", pointer, { kind: "pointer", problem: expect.stringMatching(/4\.0 GB.*git lfs pull/) }],
    ["data.json", pointer, { kind: "pointer" }],
    ["nothing.json", "", { kind: "empty" }],
    ["zeros.bin", new Uint8Array(600), { kind: "zeros" }],
    [
      "page.json",
      "<!doctype html><title>Sign in</title>",
      { kind: "web-page", problem: expect.stringContaining("/resolve/") },
    ],
    [
      "answer.json",
      '{"error": "Repository not found"}',
      { kind: "data", problem: expect.stringContaining("a server's answer") },
    ],
    [
      "llama.gguf",
      "GGUF\u0003\0\0\0\0\0\0\0",
      { kind: "model", problems: expect.arrayContaining([expect.stringContaining("it was cut off")]) },
    ],
    ["llama.bin", "GGUF\u0003\0\0\0\0\0\0\0", { kind: "gguf", problem: expect.stringContaining("FILE.gguf") }],
    ["old.bin", Uint8Array.of(0x80, 2, 0x7d, 0x71), { kind: "pickle" }],
    ["data.json.gz", gzipSync(alpaca({})), { kind: "dataset", records: 1 }],
    ["model.gz", gzipSync("weights"), { kind: "compressed" }],
    ["image.png", Buffer.from("\u0089PNG\r\n\u001a\n", "latin1"), { kind: "image" }],
    ["data.parquet", "PAR1....", { kind: "data", problem: expect.stringContaining("too short for a parquet file") }],
    ["data.csv", "instruction,output\na,b\n", { kind: "dataset", records: 1 }],
    [
      "chat.jsonl",
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n',
      { kind: "dataset", what: "chats, for --data with --template chat", chats: 1 },
    ],
    ["wrapped.json", `{"data":${alpaca({})}}`, { kind: "dataset", records: 1 }],
    [
      "utf16.json",
      Buffer.from(`\ufeff${alpaca({})}`, "utf16le"),
      { kind: "data", problem: expect.stringContaining("iconv") },
    ],
    ["good.json", alpaca({ system: "s" }), { kind: "dataset", records: 1, bad: 0, fieldsNotRead: ["system (1)"] }],
    [
      "bad.jsonl",
      '{"instruction":"a","output":"b"}\n{"instruction":"a"}\n',
      { kind: "dataset", records: 1, bad: 1, problems: [expect.stringContaining('field "output"')] },
    ],
    ["notes.txt", "just words\n", { kind: "data", problem: expect.stringContaining("text that begins with") }],
    ["script", "#!/bin/sh\necho\n", { kind: "text" }],
    ["noise", Uint8Array.from({ length: 900 }, (_, i) => (i * 89 + 7) % 251), { kind: "unknown" }],
    [
      "own.json",
      JSON.stringify({ withInput: "{instruction} {input}", withoutInput: "{instruction}" }),
      { kind: "template", name: "own.json" },
    ],
    [
      "half.json",
      JSON.stringify({ withInput: "{instruction}", withoutInput: "{instruction}" }),
      { kind: "template", problem: expect.stringContaining("withInput has no {input}") },
    ],
    [
      "run.yaml",
      "model: base\nlearning_rate: 0.01\n",
      {
        kind: "train-config",
        keys: ["model", "learning_rate"],
        left: ["data", "out"],
        notes: [expect.stringContaining("taken as lr")],
      },
    ],
    ["typo.yaml", "modle: base\n", { kind: "train-config", problem: expect.stringContaining('did you mean "model"?') }],
    ["broken.yaml", "a: [1\n", { kind: "train-config", problem: expect.stringContaining("line") }],
    [
      "run.json",
      JSON.stringify({ model: "base", data: ["a.json"], out: "run", steps: 3 }),
      { kind: "train-config", keys: ["model", "data", "out", "steps"] },
    ],
    [
      "adapter.pth",
      serializeTorchFile(new Map([["adapter_query.weight", tensor]])),
      { kind: "torch", holds: expect.stringContaining("original LLaMA-Adapter"), numbers: 2 },
    ],
    [
      "lora/adapter_config.json",
      '{"peft_type":"LORA","r":8}',
      { kind: "adapter-config", peftType: "LORA", problem: expect.stringContaining("LORA") },
    ],
    [
      "other/config.json",
      '{"model_type":"llava","architectures":["Llava"]}',
      { kind: "model-config", modelType: "llava", problem: expect.stringContaining("llava") },
    ],
    [
      "m/model.safetensors.index.json",
      '{"metadata":{"total_size":9},"weight_map":{"a":"x.safetensors"}}',
      { kind: "shard-index", tensors: 1, missing: ["x.safetensors"], totalBytes: 9 },
    ],
    [
      "m/tokenizer.json",
      '{"model":{}, "added_tokens":[]}',
      { kind: "tokenizer", problem: expect.stringContaining("no vocabulary") },
    ],
    ["m/generation_config.json", '{"eos_token_id":[1,2]}', { kind: "generation-config", eosTokenIds: [1, 2] }],
    [
      "accepted.json",
      '{"changes":[],"sha256":"0"}',
      { kind: "accepted-changes", problem: expect.stringContaining("damaged") },
    ],
    ["lock-3", "half", { kind: "lock", problem: expect.stringContaining("names no process") }],
    ["lock-3.beat", "17\n", { kind: "heartbeat", beats: 17 }],
    [
      "report.html",
      "<!doctype html><title>x</title>",
      { kind: "report", problem: expect.stringContaining("none that zerogate wrote") },
    ],
    [
      `k-${"a".repeat(64)}.cubin`,
      Buffer.concat([sha256(Buffer.from("code")), Buffer.from("code")]),
      { kind: "compiled-kernels", bytes: 4 },
    ],
    [
      `l-${"a".repeat(64)}.cubin`,
      new Uint8Array(40).fill(1),
      { kind: "compiled-kernels", problem: expect.stringContaining("damaged") },
    ],
    [
      "products-0/256x8x8-forward-f32-f32-16",
      Buffer.concat([Buffer.from("algo"), sha256(Buffer.from("algo"))]),
      { kind: "product-choice", bytes: 4 },
    ],
    [`base-${"0".repeat(64)}`, `${"1".repeat(64)}\n${"2".repeat(64)}\n`, { kind: "base-hash", hash: "1".repeat(64) }],
    ["metrics.jsonl.corrupt-2", '{"step":1}\n', { kind: "metrics", unreadable: 1 }],
    ["README.md", "---\nkind: run\nnext: me\n---\n", { kind: "model-card", header: { kind: "run" } }],
    ["constructor.json", '{"constructor": 1, "__proto__": 2}', { kind: "data" }],
  ])("%s [T-D9]", async (name, content, expected) => {
    const path = at(join("elsewhere", name));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    expect(await facts(path)).toMatchObject({ path, ...expected });
  });

  test.each(launcherNames)("launch files for %s [T-D9]", async (launcher) => {
    for (const { name, text } of launchFiles(launcher, { config: "/s/run.yaml", run: "/s/run", hosts: 2 })) {
      mkdirSync(at(launcher), { recursive: true });
      writeFileSync(at(join(launcher, name)), text);
      expect(await facts(at(join(launcher, name)))).toMatchObject({ kind: "launch-file", launcher });
    }
  });
});
