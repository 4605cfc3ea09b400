/**
 * Writes bench/gpu/alpaca_lengths.json: how long Alpaca's records are in Llama 2's tokens, so that a GPU machine without data and
 * network times real lengths. Needs a build and ../shared/data.
 *
 *   node bench/gpu/alpaca_lengths.mjs
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { loadTemplate, loadTokenizer, prepareTokens } from "../../packages/data/dist/index.js";
import { shared } from "../cpu_model.mjs";

/** Records whose own lengths are kept, evenly spaced over the file. */
const KEPT = 2048;
const maxLength = 512;
const tokens = await prepareTokens({
  paths: shared("alpaca-52k/alpaca_data.json"),
  tokenizer: await loadTokenizer(shared("llama2-tokenizer")),
  template: await loadTemplate("alpaca"),
  rule: "response",
  maxLength,
}).then((prepared) => prepared.tokens);
const records = tokens.offsets.length - 1;
const lengthOf = (i) => tokens.offsets[i + 1] - tokens.offsets[i];
const answerOf = (i) => tokens.target.subarray(tokens.offsets[i], tokens.offsets[i + 1]).reduce((a, b) => a + b, 0);
const step = Math.floor(records / KEPT);
const kept = Array.from({ length: KEPT }, (_, i) => [lengthOf(i * step), answerOf(i * step)]);
const file = fileURLToPath(new URL("alpaca_lengths.json", import.meta.url));
const facts = { template: "alpaca", tokenizer: "Llama 2", maxLength, records, tokens: tokens.ids.length };
await writeFile(file, `${JSON.stringify({ ...facts, lengthsAndAnswers: kept })}\n`);
console.log(facts);
