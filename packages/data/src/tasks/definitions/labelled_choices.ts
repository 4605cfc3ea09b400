/**
 * Choices with labels: as columns of the Hub, `{"choices": {"text": […], "label": […]}}`, or as AI2's own files have them,
 * `{"question": {"stem": …, "choices": [{"text": …, "label": "A"}]}}`.
 */
import { BadField, type TaskRecord, textAt, textsAt, valueAt } from "../definition.ts";

export interface LabelledChoices {
  readonly question: string;
  readonly texts: readonly string[];
  readonly labels: readonly string[];
}

/**
 * @param stem the field of the question among columns
 * @throws BadField for anything but two or more choices with texts and labels
 */
export function labelledChoices(record: TaskRecord, stem: string): LabelledChoices {
  if (valueAt(record, "question.stem") === undefined) {
    const texts = textsAt(record, "choices.text");
    return { question: textAt(record, stem), texts, labels: textsAt(record, "choices.label", texts.length) };
  }
  const path = "question.choices";
  const value = valueAt(record, path);
  const choices: readonly unknown[] = Array.isArray(value) ? value : [];
  const own = choices.filter(isChoice);
  if (own.length < 2 || own.length < choices.length) {
    throw new BadField(path, value, "a list of two or more choices, each with text and label");
  }
  const question = textAt(record, "question.stem");
  return { question, texts: own.map(({ text }) => text), labels: own.map(({ label }) => label) };
}

function isChoice(choice: unknown): choice is { readonly text: string; readonly label: string } {
  if (typeof choice !== "object" || choice === null) return false;
  const { text, label } = choice as TaskRecord;
  return typeof text === "string" && typeof label === "string";
}
