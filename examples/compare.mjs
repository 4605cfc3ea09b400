/**
 * The same question to a base and to the base with an adapter, one model in memory for both.
 *
 *   node examples/compare.mjs [BASE] [ADAPTER] [INSTRUCTION] [INPUT]
 */
import { AdaptionPromptModel, createModel, createReferenceEngine, streamText } from "@zerogate/core";
import { loadAdapter, loadWeights, readModelConfig } from "@zerogate/core/node";
import { encodePrompt, loadTemplate, loadTokenizer } from "@zerogate/data";

const [
  baseFolder = "packages/trainer/world/base",
  adapterFolder = "runs/tiny/adapter",
  instruction = "Give the opposite of the word.",
  input = "never",
] = process.argv.slice(2);

const engine = createReferenceEngine();
const config = await readModelConfig(baseFolder);
const image = await loadWeights(baseFolder, config, { weightDtypes: engine.weightDtypes });
const model = new AdaptionPromptModel(createModel(engine, config, image));

const adapter = await loadAdapter(adapterFolder, config);
model.addAdapter("default", adapter);

const tokenizer = await loadTokenizer(baseFolder);
// How the prompts were written that it was trained on; adapters of PEFT do not say it.
const format = adapter.promptFormat ?? { template: await loadTemplate("alpaca"), bos: "tokenizer" };
const promptIds = encodePrompt(tokenizer, format, { instruction, input });

async function answer(name) {
  process.stdout.write(`${name}: `);
  const tokens = model.generate(promptIds, { maxNewTokens: 24 });
  for await (const text of streamText(tokens, tokenizer, { prefix: promptIds })) process.stdout.write(text);
  process.stdout.write("\n");
}

console.log(`${instruction} ${input}`.trim());
await model.withAdapterDisabled(() => answer("base"));
await answer("adapter");
