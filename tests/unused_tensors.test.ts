/** A base with a tensor that nothing reads: every command that computes with it says so, and refuses it where asked to. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSafetensors, serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, tinyRun } from "./support/world.ts";

const folder = testFolder();
const model = join(folder, "base");
cpSync(base, model, { recursive: true });
const file = join(model, "model.safetensors");
const { tensors } = parseSafetensors(new Uint8Array(readFileSync(file)), file);
const bias: Tensor = { dtype: "F32", shape: [128], bytes: new Uint8Array(512).fill(1) };
writeFileSync(file, serializeSafetensors(new Map([...tensors, ["model.layers.3.self_attn.o_proj.bias", bias]])));
const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as object;
writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, unheard_of: 1 }));

const flags = tinyRun(folder, { "--model": model, "--steps": "1" });
const commands: readonly (readonly [string, readonly string[]])[] = [
  ["train", [...flags, "--out", "run", "--json"]],
  ["eval", ["--model", model, "--data", "held.json"]],
  ["generate", ["--model", model, "--prompt", "a", "--max-new-tokens", "1"]],
  ["chat", ["--model", model]],
];
const word = "tensors are not part of this llama model and have no influence on what it computes";

test.each(commands)("%s names it on stderr [T-A3]", async (command, args) => {
  const { code, stderr } = await zerogateHere([command, ...args], { cwd: folder });
  expect(code).toBe(0);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(word);
  expect(stderr).toContain("model.layers.*.self_attn.o_proj.bias");
  expect(stderr).toContain("unheard_of");
});

test("the run's log holds it, and the keys that nothing reads [T-A2, T-A3]", () => {
  const log = readFileSync(join(folder, "run", "log.jsonl"), "utf8");
  expect(log).toContain(word);
  expect(log).toContain("model.layers.*.self_attn.o_proj.bias");
  expect(log).toContain("unheard_of");
});

test.each(commands)("%s refuses it under --strict-tensors and writes nothing [T-A3]", async (command, args) => {
  const strict = args.map((arg) => (arg === "run" ? "strict" : arg));
  const { code, stderr, stdout } = await zerogateHere([command, ...strict, "--strict-tensors"], { cwd: folder });
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("o_proj.bias");
  expect(stderr).toContain("leave out strictTensors (--strict-tensors)");
});

test("inspect says it, and --dry-run refuses what the run would refuse [T-A3]", async () => {
  const { json } = await zerogateHere(["inspect", model, "--json"], { cwd: folder });
  expect(json[0]?.["warnings"]).toEqual([expect.stringContaining("unheard_of"), expect.stringContaining(word)]);
  const dry = ["train", ...flags, "--out", "dry", "--dry-run", "--strict-tensors"];
  expect(await zerogateHere(dry, { cwd: folder })).toMatchObject({ code: 2 });
});
