/** MMLU (Hendrycks et al. 2021): four choices under letters, 57 subjects with examples and a description each. */
import { askLetters, type ChoiceTask, placeAt, textAt, textsAt } from "../definition.ts";
import { strip } from "../python_text.ts";

export const mmlu: ChoiceTask = {
  kind: "choices",
  name: "mmlu",
  dataset: "cais/mmlu",
  forms: [["question", "subject", "choices", "answer"]],
  metrics: ["acc"],
  shots: { count: 0, rule: "first", split: "dev", sparesOwn: false },
  describe: (subject) =>
    `The following are multiple choice questions (with answers) about ${subject.replaceAll("_", " ")}.\n\n`,
  read: (record) => ({
    ...askLetters(strip(textAt(record, "question")), textsAt(record, "choices", 4), placeAt(record, "answer", 4)),
    section: textAt(record, "subject"),
  }),
};
