/** OpenBookQA (Mihaylov et al. 2018): the beginning of a sentence and four ends. */
import { ask, type ChoiceTask, labelAt, textAt } from "../definition.ts";
import { stripLeft } from "../python_text.ts";
import { labelledChoices } from "./labelled_choices.ts";

export const openBookQa: ChoiceTask = {
  kind: "choices",
  name: "openbookqa",
  dataset: "allenai/openbookqa",
  forms: [
    ["question_stem", "choices.text", "choices.label", "answerKey"],
    ["question.stem", "question.choices", "answerKey"],
  ],
  metrics: ["acc", "acc_norm"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: false },
  read(record) {
    const { question, texts, labels } = labelledChoices(record, "question_stem");
    return ask(question, texts, labelAt({ answerKey: stripLeft(textAt(record, "answerKey")) }, "answerKey", labels));
  },
};
