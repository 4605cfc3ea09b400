/** HellaSwag (Zellers et al. 2019): four ends of a description, cleaned of WikiHow's brackets. */
import { ask, type ChoiceTask, placeAt, textAt, textsAt } from "../definition.ts";
import { capitalize, strip } from "../python_text.ts";

const cleaned = (text: string): string =>
  strip(text)
    .replaceAll(" [title]", ". ")
    .replace(/\[[^\n]*?\]/g, "")
    .replaceAll("  ", " ");

export const hellaSwag: ChoiceTask = {
  kind: "choices",
  name: "hellaswag",
  dataset: "Rowan/hellaswag",
  forms: [["activity_label", "ctx_a", "ctx_b", "endings", "label"]],
  metrics: ["acc", "acc_norm"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: true },
  read(record) {
    const begin = `${textAt(record, "ctx_a")} ${capitalize(textAt(record, "ctx_b"))}`;
    const endings = textsAt(record, "endings", 4).map(cleaned);
    return ask(cleaned(`${textAt(record, "activity_label")}: ${begin}`), endings, placeAt(record, "label", 4));
  },
};
