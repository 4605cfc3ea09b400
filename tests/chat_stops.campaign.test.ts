/**
 * A model that is trained on chats ends its turns by itself. The base knows `</s>` and would end with it untaught; the template's
 * turns end with `<s>`, which it has never written.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeQuestion } from "@zerogate/data";
import { beforeAll, expect, test } from "vitest";
import { openModel } from "../packages/trainer/dist/index.js";
import { testFolder, zerogate } from "./support/cli.ts";
import { type AlpacaRecord, base, records } from "./support/world.ts";

const TEN_MINUTES = 600_000;
const folder = testFolder();
const [END, OTHER_END] = [1, 2];

const template =
  "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + bos_token + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";
const settings =
  "steps: 160\nbatchSize: 8\nmaxLength: 128\ncellTokens: 96\nadapterLen: 10\nadapterLayers: 6\nlr: 0.05\nwarmupSteps: 10\n" +
  "beta2: 0.95\nweightDecay: 0.02\nclipNorm: 1\nevalEvery: 0\nreportAnswers: 0\ncompute: f32\n";

const askedOf = ({ instruction, input }: AlpacaRecord) => (input === "" ? instruction : `${instruction}\n\n${input}`);
const chatOf = (record: AlpacaRecord) => ({
  messages: [
    { role: "user", content: askedOf(record) },
    { role: "assistant", content: record.output },
  ],
});

beforeAll(async () => {
  const chats = records("train.json", 2400).map((record) => JSON.stringify(chatOf(record)));
  writeFileSync(join(folder, "chats.jsonl"), chats.join("\n"));
  writeFileSync(join(folder, "own.jinja"), template);
  writeFileSync(join(folder, "run.yaml"), settings);
  const data = ["--model", base, "--data", "chats.jsonl", "--template", "own.jinja"];
  const args = ["train", ...data, "--config", "run.yaml", "--out", "run"];
  const trained = await zerogate(args, { cwd: folder, timeoutMs: TEN_MINUTES });
  expect(trained.code, trained.stderr).toBe(0);
}, TEN_MINUTES);

/** How held-out answers end within 32 tokens: with the end of the turn, with the base's own end, or not at all. */
async function endings(adapters: readonly string[], questions: readonly AlpacaRecord[]) {
  const opened = await openModel({ model: base, adapters, template: join(folder, "own.jinja") });
  const { template: chat } = opened.promptFormat(opened.model.activeAdapter);
  const found = { turn: 0, text: 0, never: 0 };
  for (const record of questions) {
    const asked = { instruction: askedOf(record), input: "" };
    const { ids } = await encodeQuestion(opened.tokenizer, { template: chat }, asked);
    let last: number | undefined;
    for await (const id of opened.model.generate(ids, { maxNewTokens: 32, eosTokenIds: [] })) {
      last = id;
      if (id === END || id === OTHER_END) break;
    }
    found[last === END ? "turn" : last === OTHER_END ? "text" : "never"]++;
  }
  return found;
}

test("of 256 held-out answers 95 % end with the end of the turn; of the base's none does [D-chat-stops]", async () => {
  const questions = records("heldout.json", 256);
  const trained = await endings([join(folder, "run", "adapter")], questions);
  expect(trained.turn, JSON.stringify(trained)).toBeGreaterThanOrEqual(0.95 * 256);
  expect((await endings([], questions)).turn).toBe(0);
});
