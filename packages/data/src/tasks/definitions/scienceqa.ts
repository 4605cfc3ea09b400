/** ScienceQA (Lu et al. 2022) as text: two to five choices under letters, after the hint. The harness has no such task: this is ours. */
import { askLetters, type ChoiceTask, placeAt, textAt, textsAt } from "../definition.ts";
import { strip } from "../python_text.ts";

export const scienceQa: ChoiceTask = {
  kind: "choices",
  name: "scienceqa",
  dataset: "derek-thomas/ScienceQA",
  forms: [["question", "choices", "answer", "hint", "subject", "skill", "lecture"]],
  metrics: ["acc"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: false },
  read(record) {
    const choices = textsAt(record, "choices");
    const hint = strip(textAt(record, "hint"));
    const question = `${hint === "" ? "" : `Context: ${hint}\n`}Question: ${strip(textAt(record, "question"))}`;
    return askLetters(question, choices, placeAt(record, "answer", choices.length));
  },
};
