/**
 * ScienceQA's problems as text, as the authors' evaluation writes them (lupantech/ScienceQA), and cut into the fields of a
 * record: a line `Question: …` is the instruction, context and options are the input.
 */
import type { InstructionRecord } from "../record.ts";
import type { ScienceProblem } from "./problems.ts";

/** What stands before the answer: question, context and options, or the context first. */
const inputs = ["QCM", "CQM"] as const;
/** What the answer is: the letter, with lecture (L) and explanation (E) behind or before it. */
const outputs = ["A", "AL", "AE", "ALE", "AEL", "LA", "EA", "LEA", "ELA"] as const;

/** A form of the authors', input and output: `QCM-A`, `QCM-ALE`. */
export type ScienceFormat = `${(typeof inputs)[number]}-${(typeof outputs)[number]}`;

/** All of them. */
export const scienceFormats: readonly ScienceFormat[] = inputs.flatMap((input) =>
  outputs.map((output): ScienceFormat => `${input}-${output}`),
);

/** How a problem is written. */
export interface ScienceTextOptions {
  /** @default "QCM-A" */
  readonly format?: ScienceFormat;
  /** A caption of its image, which joins the hint. @default none */
  readonly caption?: string | undefined;
}

/** The letters of choices. */
const LETTERS = "ABCDE";

/** The letter of a choice. */
const letterOf = (choice: number): string => LETTERS[choice] ?? "?";

/** What answers a problem in one sentence. */
export const answerOf = (choice: number): string => `The answer is ${letterOf(choice)}.`;

/** The problem as a record. In the template `scienceqa` it is the authors' text, byte for byte. */
export function scienceRecord(
  problem: ScienceProblem,
  { format = "QCM-A", caption = "" }: ScienceTextOptions = {},
): InstructionRecord {
  const [input, output] = format.split("-") as [(typeof inputs)[number], (typeof outputs)[number]];
  const { question, choices, hint } = problem;
  const hinted = [hint, caption].join(" ").trim();
  const context = oneSpace(`Context: ${hinted === "" ? "N/A" : hinted}`);
  const asked = oneSpace(`Question: ${question}`);
  const options = oneSpace(`Options: ${choices.map((choice, i) => `(${letterOf(i)}) ${choice}`).join(" ")}`);
  const answer = answerText(problem, output);
  if (input === "CQM") return { instruction: `${context}\n${asked}`, input: options, output: answer };
  return { instruction: asked, input: `${context}\n${options}`, output: answer };
}

/** The authors' names are the other way round here than one expects: `AL` has the solution, `AE` the lecture. */
function answerText(problem: ScienceProblem, output: (typeof outputs)[number]): string {
  const answer = answerOf(problem.answer);
  const [lecture, solution] = [spelled(problem.lecture), spelled(problem.solution)];
  const explained = {
    A: answer,
    AL: `${answer} BECAUSE: ${solution}`,
    AE: `${answer} BECAUSE: ${lecture}`,
    ALE: `${answer} BECAUSE: ${lecture} ${solution}`,
    AEL: `${answer} BECAUSE: ${solution} ${lecture}`,
    LA: `${lecture} ${answer}`,
    EA: `${solution} ${answer}`,
    LEA: `${lecture} ${solution} ${answer}`,
    ELA: `${solution} ${lecture} ${answer}`,
  };
  const text = oneSpace(` ${explained[output]}`).trimEnd();
  return (text.endsWith("BECAUSE:") ? text.slice(0, -"BECAUSE:".length).trimEnd() : text).slice(1);
}

/** Line breaks as the two characters `\n`. */
const spelled = (text: string): string => text.replaceAll("\n", String.raw`\n`);

/** Makes one space of two, in one pass, as the authors do: of three two are left. */
const oneSpace = (text: string): string => text.replaceAll("  ", " ");
