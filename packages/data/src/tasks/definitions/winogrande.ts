/** WinoGrande (Sakaguchi et al. 2020): which of two names fills a gap. The rest of the sentence is scored after each. */
import { BadField, type ChoiceTask, placeAt, textAt } from "../definition.ts";
import { strip } from "../python_text.ts";

export const winoGrande: ChoiceTask = {
  kind: "choices",
  name: "winogrande",
  dataset: "allenai/winogrande",
  forms: [["sentence", "option1", "option2", "answer"]],
  metrics: ["acc"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: true },
  read(record) {
    const sentence = textAt(record, "sentence");
    const gap = sentence.indexOf("_");
    if (gap < 0) throw new BadField("sentence", sentence, "a sentence with a gap, _");
    const prompts = ["option1", "option2"].map((option) => sentence.slice(0, gap) + textAt(record, option));
    const rest = strip(sentence.slice(gap + 1));
    return { prompts, answers: [rest, rest], gold: placeAt(record, "answer", 2, 1) };
  },
};
