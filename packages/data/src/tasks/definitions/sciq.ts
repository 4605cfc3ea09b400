/** SciQ (Welbl et al. 2017): the right answer behind three wrong ones. */
import { ask, type ChoiceTask, textAt } from "../definition.ts";
import { stripLeft } from "../python_text.ts";

export const sciQ: ChoiceTask = {
  kind: "choices",
  name: "sciq",
  dataset: "allenai/sciq",
  forms: [["question", "distractor1", "distractor2", "distractor3", "correct_answer", "support"]],
  metrics: ["acc", "acc_norm"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: false },
  read(record) {
    const answers = ["distractor1", "distractor2", "distractor3", "correct_answer"].map((field) =>
      textAt(record, field),
    );
    return ask(`${stripLeft(textAt(record, "support"))}\nQuestion: ${textAt(record, "question")}\nAnswer:`, answers, 3);
  },
};
