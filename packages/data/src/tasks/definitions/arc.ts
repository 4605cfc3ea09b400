/** ARC (Clark et al. 2018), easy and challenge: three to five choices, scored by their texts. */
import { ask, type ChoiceTask, labelAt } from "../definition.ts";
import { labelledChoices } from "./labelled_choices.ts";

const arc = (name: string): ChoiceTask => ({
  kind: "choices",
  name,
  dataset: "allenai/ai2_arc",
  forms: [
    ["question", "choices.text", "choices.label", "answerKey"],
    ["question.stem", "question.choices", "answerKey"],
  ],
  metrics: ["acc", "acc_norm"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: false },
  read(record) {
    const { question, texts, labels } = labelledChoices(record, "question");
    return ask(`Question: ${question}\nAnswer:`, texts, labelAt(record, "answerKey", labels));
  },
});

export const arcEasy: ChoiceTask = arc("arc_easy");
export const arcChallenge: ChoiceTask = arc("arc_challenge");
