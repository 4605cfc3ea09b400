/** GSM8K (Cobbe et al. 2021): arithmetic in words, answered step by step after five examples. */
import { BadField, type OpenTask, textAt } from "../definition.ts";

export const gsm8k: OpenTask = {
  kind: "open",
  name: "gsm8k",
  dataset: "openai/gsm8k",
  forms: [["question", "answer"]],
  metrics: ["strict", "flexible"],
  shots: { count: 5, rule: "random", split: "train", sparesOwn: false },
  stops: ["Question:", "</s>", "<|im_end|>"],
  maxNewTokens: 256,
  read(record) {
    const target = textAt(record, "answer");
    if (!target.includes("####")) throw new BadField("answer", target, "an answer that ends with #### and a number");
    return { prompt: `Question: ${textAt(record, "question")}\nAnswer:`, target };
  },
};
