/** COPA (Roemmele et al. 2011): the likelier cause or effect of two. */
import { ask, BadField, type ChoiceTask, placeAt, type TaskRecord, textAt } from "../definition.ts";
import { strip } from "../python_text.ts";

const connectors: Readonly<Record<string, string>> = { cause: "because", effect: "therefore" };

/** The harness puts a space in front, besides the one that stands before every answer. */
function ending(record: TaskRecord, field: string): string {
  const text = textAt(record, field);
  if (text === "") throw new BadField(field, text, "a sentence");
  const [first = "", ...rest] = text;
  return ` ${first.toLowerCase()}${rest.join("")}`;
}

export const copa: ChoiceTask = {
  kind: "choices",
  name: "copa",
  dataset: "aps/super_glue",
  forms: [["premise", "choice1", "choice2", "question", "label"]],
  metrics: ["acc"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: true },
  read(record) {
    const question = textAt(record, "question");
    const connector = connectors[question];
    if (connector === undefined) throw new BadField("question", question, "cause or effect");
    const premise = strip(textAt(record, "premise")).replace(/.$/su, ""); // without its full stop
    const endings = [ending(record, "choice1"), ending(record, "choice2")];
    return ask(`${premise} ${connector}`, endings, placeAt(record, "label", 2));
  },
};
