/** What the commands besides `train` refuse: exit code 2, one message, nothing on stdout. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { adapterLayout, initParameters, type ModelConfig, parseAdaptionPromptConfig } from "@zerogate/core";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, tinyRun } from "./support/world.ts";

const folder = testFolder();
tinyRun(folder);
const at = (...path: string[]) => join(folder, ...path);

beforeAll(async () => {
  mkdirSync(at("adapter"));
  writeFileSync(at("adapter", "adapter_config.json"), "not json");
  const sound = await readModelConfig(base);
  await writeAdapter(at("sound"), sound);
  await writeAdapter(at("foreign"), { ...sound, hiddenSize: 64, layers: 5 });
});
test.each([
  { args: ["generate", "--model", base], says: "expected one of --prompt TEXT, --instruction TEXT and --prompts FILE" },
  {
    args: ["generate", "--prompt", "a"],
    says: "Cannot find the base: --model is missing, it names the folder of the base model",
  },
  {
    args: ["generate", "--model", base, "--prompt", "a", "--adapter", "nope"],
    says: "Cannot use the adapter nope: there is no such file or folder",
  },
  {
    args: ["generate", "--model", base, "--prompt", "a", "--adapter", "adapter"],
    says: "adapter_config.json: not valid JSON",
  },
  {
    args: ["generate", "--model", base, "--prompt", "a", "--adapter", "foreign"],
    says: /its highest prompt is in layer 4, .* this base has 6: use the base that the adapter was trained on/,
  },
  {
    args: ["generate", "--model", base, "--prompt", "a", "--adapter", "sound", "--adapter", "./sound"],
    says: 'there is an adapter "sound" before it: name this one with --adapter ./sound=NAME',
  },
  {
    args: ["generate", "--model", base, "--prompt", "a", "--use", "b"],
    says: 'Cannot find adapter "b": adapters of this model: none',
  },
  {
    args: ["generate", "--model", base, "--prompt", "a", "--temperature", "-1"],
    says: '--temperature is "-1", expected a number of at least 0',
  },
  {
    args: ["generate", "--model", base, "--prompt", "a ".repeat(400)],
    says: /the prompt has \d+ tokens, the model's context is 256/,
  },
  { args: ["eval", "--model", base, "--data", "nope.json"], says: "nope.json" },
  {
    args: ["eval", "--model", base, "--data", "held.json", "--adapter", "nope"],
    says: "Cannot use the adapter nope: there is no such file or folder",
  },
  { args: ["inspect", "nope"], says: "Cannot inspect nope: there is no such file or folder" },
  { args: ["inspect", "adapter"], says: "adapter_config.json: not valid JSON" },
  { args: ["inspect", "."], says: "it is a folder of no kind that zerogate knows" },
  { args: ["resume", "nope"], says: "there is no config.json in it: name the run directory of zerogate train" },
  { args: ["trian"], says: "there is no command trian, did you mean train?" },
  { args: [], says: "Usage: zerogate" },
])("$args.0: $says", async ({ args, says }) => {
  const refused = await zerogateHere(args, { cwd: folder });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(says);
  expect(refused.stderr).not.toMatch(/\n {4}at /);
});

/** An untrained adapter of 2 prompts in 1 layer. */
async function writeAdapter(to: string, config: ModelConfig): Promise<void> {
  const shape = { promptLength: 2, adaptedLayers: 1, gateSharing: "scalar", gateActivation: "none" } as const;
  const layout = adapterLayout(shape, config);
  const json = { peft_type: "ADAPTION_PROMPT", adapter_len: 2, adapter_layers: 1, target_modules: "self_attn" };
  const { config: adapter } = parseAdaptionPromptConfig(json, "test");
  await saveAdapter(to, { config: adapter, layout, params: initParameters(layout.table, 1) });
}
