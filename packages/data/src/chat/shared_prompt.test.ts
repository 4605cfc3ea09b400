import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../../test/tiny_tokenizer.ts";
import { beginningsOf } from "../beginnings.ts";
import { cellCost } from "../cells.ts";
import { createPlan } from "../plan.ts";
import { prepareTokens } from "../prepare.ts";
import { loadTemplate } from "../templates.ts";
import { measureSamples } from "../token_set.ts";
import { createTokenizer } from "../tokenizer.ts";

const system = { role: "system", content: "be kind and short in all that is said" };
const chats = ["ab", "cab", "bad", "a", "fade", "ebb", "dab", "fed"].map((content) => ({
  messages: [system, { role: "user", content }, { role: "assistant", content: content.repeat(2) }],
}));

test("chats with one system prompt compute it once: cells keep them together and cost less [D-chat-shared]", async () => {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-shared-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const paths = join(folder, "d.json");
  await writeFile(paths, JSON.stringify(chats));
  const tokenizer = createTokenizer(tinyTokenizerFiles());
  const template = await loadTemplate("zephyr", tokenizer);
  const { tokens } = await prepareTokens({ paths, tokenizer, template, rule: "response", maxLength: 200 });
  const sizes = measureSamples(tokens);
  const beginnings = beginningsOf(tokens);
  const prompt = tokenizer.encode(`<|system|>\n${system.content}</s>\n<|user|>\n`, { addSpecialTokens: false }).length;
  expect(beginnings.shared(0, 1)).toBeGreaterThanOrEqual(prompt - 1);
  const cost = { token: 1, pair: 0, label: 0 };
  const input = { samples: [...chats.keys()], seed: 1, batchSize: 8, cellTokens: 4000, even: { multiple: 1, cost } };
  const { cells } = createPlan({ ...sizes, beginnings, ...input }).step(0);
  const computed = (shares: boolean) =>
    cells.reduce((sum, cell) => sum + cellCost(cost, { ...sizes, ...(shares && { beginnings }) }, cell), 0);
  expect(computed(false)).toBe(tokens.ids.length);
  expect(computed(false) - computed(true)).toBeGreaterThanOrEqual((chats.length - cells.length) * (prompt - 1));
});
