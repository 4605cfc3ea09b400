/** A form for questions of your own: `{"question": …, "choices": […], "answer": 0}`, asked as ARC is. */
import {
  ask,
  BadField,
  type ChoiceTask,
  type Question,
  type TaskRecord,
  textAt,
  textsAt,
  valueAt,
} from "../definition.ts";

function read(record: TaskRecord): Question {
  const choices = textsAt(record, "choices");
  return ask(`Question: ${textAt(record, "question")}\nAnswer:`, choices, rightPlace(record, choices));
}

/** The answer may be a place from 0, a letter from A, or the text of the choice itself. */
function rightPlace(record: TaskRecord, choices: readonly string[]): number {
  const answer = valueAt(record, "answer");
  if (typeof answer === "string") {
    const [first, ...more] = [...choices.keys()].filter((c) => choices[c] === answer);
    if (first !== undefined && more.length === 0) return first;
    const letter = /^[A-Z]$/.test(answer) ? answer.charCodeAt(0) - 65 : choices.length;
    if (first === undefined && letter < choices.length) return letter;
  }
  if (typeof answer === "number" && Number.isInteger(answer) && answer >= 0 && answer < choices.length) return answer;
  throw new BadField("answer", answer, "the right choice: its place from 0, its letter from A, or its text");
}

export const plainChoices: ChoiceTask = {
  kind: "choices",
  name: "choices",
  dataset: "",
  forms: [["question", "choices", "answer"]],
  metrics: ["acc", "acc_norm"],
  shots: { count: 0, rule: "first", split: "train", sparesOwn: false },
  read,
};
