/** Every command that opens a base opens it alike: the same warnings, the same refusals. */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { openPlace, sixSteps } from "../../test/here.ts";

const place = openPlace();
const { at, run } = place;

/** Lines that open the base `folder`, by command. */
const lines = (folder: string): Record<string, string[]> => ({
  train: [...sixSteps(place, "run", { "--model": at(folder) }), "--dry-run"],
  eval: ["eval", "--model", at(folder), "--data", at("held.json"), "--workers", "1", "--engine", "reference"],
  generate: ["generate", "--model", at(folder), "--instruction", "Hi", "--max-new-tokens", "2"],
  chat: ["chat", "--model", at(folder)],
});
const commands = ["train", "eval", "generate", "chat"] as const;

function changeJson(path: string, change: (json: Record<string, unknown>) => void): void {
  const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  change(json);
  writeFileSync(path, JSON.stringify(json));
}

beforeAll(() => {
  cpSync(at("base"), at("odd"), { recursive: true });
  changeJson(join(at("odd"), "config.json"), (json) => (json["zebra_count"] = 2));
  changeJson(join(at("odd"), "tokenizer.json"), (json) => {
    const added = { content: "<zebra>", single_word: false, lstrip: false, rstrip: false, normalized: false };
    (json["added_tokens"] as object[]).push({ id: 1024, special: true, ...added });
  });
  cpSync(at("base"), at("mute"), { recursive: true });
  rmSync(join(at("mute"), "tokenizer.json"));
  cpSync(at("base"), at("linked"), { recursive: true });
  rmSync(join(at("linked"), "config.json"));
  symlinkSync(join(at("base"), "config.json"), join(at("linked"), "config.json"));
});

test.each(commands)("%s warns of what is odd about a base", async (name) => {
  const { code, stderr } = await run(lines("odd")[name] ?? []);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("zebra_count");
  expect(stderr).toContain("texts that hold one of the added tokens beyond it are refused");
});

const refused = [
  ["mute", [], "tokenizer.json"],
  ["linked", ["--no-links"], "config.json"],
  ["base", ["--engine", "reference", "--compute", "bf16"], "Cannot compute in bf16: the engine reference has f32 only"],
  ["base", ["--engine", "wasm", "--devices", "0"], "Cannot choose GPUs: the engine is wasm"],
] as const;

test.each(commands.flatMap((name) => refused.map((how) => [name, ...how] as const)))(
  "%s refuses the base %s with %j",
  async (name, folder, flags, says) => {
    const { code, stderr } = await run([...(lines(folder)[name] ?? []), ...flags]);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain(says);
  },
);

test("eval has the same numbers with a process for each worker, which reads the base itself", async () => {
  const flags = [...(lines("base")["eval"] ?? []), "--json"];
  const [threads] = (await run(flags)).json;
  const [processes] = (await run([...flags, "--workers", "2", "--isolate"])).json;
  expect(threads).toMatchObject({ samples: 4, loss: expect.any(Number) });
  expect(processes).toEqual(threads);
});
