/** CommonsenseQA (Talmor et al. 2019): five choices under letters. */
import { askLetters, BadField, type ChoiceTask, labelAt } from "../definition.ts";
import { strip } from "../python_text.ts";
import { labelledChoices } from "./labelled_choices.ts";

const LETTERS = ["A", "B", "C", "D", "E"];

export const commonsenseQa: ChoiceTask = {
  kind: "choices",
  name: "commonsense_qa",
  dataset: "tau/commonsense_qa",
  forms: [
    ["question", "question_concept", "choices.text", "choices.label", "answerKey"],
    ["question.stem", "question.question_concept", "question.choices", "answerKey"],
  ],
  metrics: ["acc"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: true },
  read(record) {
    const { question, texts } = labelledChoices(record, "question");
    if (texts.length !== LETTERS.length) throw new BadField("choices", texts, `${LETTERS.length} choices`);
    return askLetters(`Question: ${strip(question)}`, texts, labelAt(record, "answerKey", LETTERS));
  },
};
