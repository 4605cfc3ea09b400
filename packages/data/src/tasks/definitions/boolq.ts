/** BoolQ (Clark et al. 2019): yes or no, by a passage. */
import { ask, BadField, type ChoiceTask, placeAt, type TaskRecord, textAt, valueAt } from "../definition.ts";

export const boolQ: ChoiceTask = {
  kind: "choices",
  name: "boolq",
  dataset: "aps/super_glue",
  forms: [
    ["question", "passage", "label"],
    ["question", "passage", "answer"],
  ],
  metrics: ["acc"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: true },
  read: (record) =>
    ask(
      `${textAt(record, "passage")}\nQuestion: ${textAt(record, "question")}?\nAnswer:`,
      ["no", "yes"],
      isTrue(record) ? 1 : 0,
    ),
};

/** SuperGLUE numbers its labels, BoolQ's own files have the answer itself. */
function isTrue(record: TaskRecord): boolean {
  const label = valueAt(record, "label");
  if (typeof label === "boolean") return label;
  if (label !== undefined) return placeAt(record, "label", 2) === 1;
  const found = valueAt(record, "answer");
  const answer = typeof found === "string" && /^(?:true|false)$/i.test(found) ? found.toLowerCase() === "true" : found;
  if (typeof answer !== "boolean") throw new BadField("answer", answer, "true or false");
  return answer;
}
