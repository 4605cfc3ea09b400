/**
 * Prompts with examples, as lm-evaluation-harness writes them:
 *
 *   description · for each example: its prompt, a space, its answer, an empty line · the prompt
 *
 * and what is scored after it is a space and an answer.
 */
import { isDeepStrictEqual } from "node:util";
import type { ChoiceTask, OpenQuestion, OpenTask, Question, Task } from "./definition.ts";
import { type AskedRecord, type LoadedTask, sectionOf } from "./load.ts";
import { type PythonRandom, pythonRandom } from "./python_random.ts";

/** A question with choices, ready to be scored. */
export interface ChoiceItem {
  /** The number of its record in the file. */
  readonly doc: number;
  /** @default the task has none */
  readonly section?: string;
  /** Of each choice: what stands before, and what is scored. */
  readonly pairs: readonly { readonly context: string; readonly continuation: string }[];
  readonly answers: readonly string[];
  readonly gold: number;
}

/** A question whose answer is written. */
export interface OpenItem extends OpenQuestion {
  readonly doc: number;
}

/** Makes the items of a task one after another: each draws its examples after those before it. */
export function* choiceItems(loaded: LoadedTask<ChoiceTask>): Generator<ChoiceItem, void> {
  const shotsBefore = openShots(loaded, shotText);
  for (const asked of loaded.questions) {
    const { prompts, answers, gold, section } = asked.question;
    const before = (section === undefined ? "" : (loaded.task.describe?.(section) ?? "")) + shotsBefore(asked);
    const pairs = answers.map((answer, c) => ({ context: before + (prompts[c] ?? ""), continuation: ` ${answer}` }));
    yield { doc: asked.doc, ...(section !== undefined && { section }), pairs, answers, gold };
  }
}

/** The same for a task whose answers are written. */
export function* openItems(loaded: LoadedTask<OpenTask>): Generator<OpenItem, void> {
  const shotsBefore = openShots(loaded, ({ prompt, target }: OpenQuestion) => `${prompt} ${target}`);
  for (const asked of loaded.questions) {
    const { prompt, target } = asked.question;
    yield { doc: asked.doc, prompt: shotsBefore(asked) + prompt, target };
  }
}

const shotText = ({ prompts, answers, gold }: Question): string => `${prompts[gold] ?? ""} ${answers[gold] ?? ""}`;

/** Returns what chooses the examples of a question and writes them. */
function openShots<Kind extends Task>(
  { task, examples, shots, shotsSeed }: LoadedTask<Kind>,
  write: (question: ReturnType<Kind["read"]>) => string,
): (asked: AskedRecord<Kind>) => string {
  if (shots === 0) return () => "";
  const ofSection = new Map<string, AskedRecord<Kind>[]>();
  for (const example of examples) {
    const section = sectionOf(example);
    ofSection.set(section, [...(ofSection.get(section) ?? []), example]);
  }
  const draws = new Map<string, PythonRandom>();
  return (asked) => {
    const section = sectionOf(asked);
    const own = ofSection.get(section) ?? [];
    const draw = draws.get(section) ?? pythonRandom(shotsSeed);
    draws.set(section, draw);
    const chosen = task.shots.rule === "first" ? own.slice(0, shots) : drawn(draw, own, asked, shots, task);
    return chosen.map(({ question }) => `${write(question)}\n\n`).join("");
  };
}

function drawn<Kind extends Task>(
  draw: PythonRandom,
  examples: readonly AskedRecord<Kind>[],
  asked: AskedRecord<Kind>,
  shots: number,
  { shots: { sparesOwn } }: Task,
): AskedRecord<Kind>[] {
  const at = (places: readonly number[], from: readonly AskedRecord<Kind>[]) => places.flatMap((i) => from[i] ?? []);
  if (!sparesOwn) return at(draw.sample(examples.length, shots), examples);
  const isOther = ({ record }: AskedRecord<Kind>) => !isDeepStrictEqual(record, asked.record);
  const others = at(draw.sample(examples.length, shots + 1), examples)
    .filter(isOther)
    .slice(0, shots);
  if (others.length === shots) return others;
  const left = examples.filter(isOther);
  return at(draw.sample(left.length, shots), left);
}
