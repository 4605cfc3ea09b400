/** Chat templates in Jinja: one rendering of one list of messages. Nothing here limits time or memory: the render thread does. */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import type { ChatTemplate } from "@zerogate/core";
import { addPythonFunctions, followPython } from "./python_rules.ts";
import type { ChatMessage } from "./record.ts";

/** Stand for the beginning and the end of what `{% generation %}` marks. */
export const BEGIN = "\uFDD0";
export const END = "\uFDD1";
/** Stands inside a special token that a message spells, so that it is none. */
export const BREAK = "\uFDD2";

/** Templates that write today's date get this one, or the same data would be other tokens tomorrow: Llama 3's own default. */
const TODAY = new Date("2024-07-26T00:00:00Z");
/** Bytes of a rendered chat, in UTF-16. */
const MAX_OUTPUT = 4_000_000;
const MAX_RANGE = 1_000_000;

/** Renders messages; with `ask` the beginning of an answer follows. */
export type RenderMessages = (
  messages: readonly ChatMessage[],
  tools: readonly unknown[] | undefined,
  ask: boolean,
) => string;

/** A template that is ready to render. */
export interface CompiledTemplate {
  readonly plain: RenderMessages;
  /** Marks what the assistant says; undefined if the template does not say it. */
  readonly marked: RenderMessages | undefined;
}

/** @throws Error if the source is no Jinja. */
export function compileTemplate({ chat, tokens }: Pick<ChatTemplate, "chat" | "tokens">): CompiledTemplate {
  const globals = new Environment();
  for (const [name, value] of Object.entries({ ...constants, ...tokens })) globals.set(name, value);
  addPythonFunctions(globals);
  const renderer = (source: string): RenderMessages => {
    const { parsed } = new Template(source);
    followPython(parsed);
    return (messages, tools, ask) => {
      const environment = new Environment(globals);
      environment.set("messages", messages);
      if (tools) environment.set("tools", tools);
      environment.set("add_generation_prompt", ask);
      const text = textOf(new Interpreter(environment).run(parsed));
      if (2 * text.length > MAX_OUTPUT) throw new Error(`it writes ${text.length} characters for one chat`);
      return text;
    };
  };
  const source = chat.replace(/\r\n?/g, "\n");
  return { plain: renderer(source), marked: GENERATION.test(source) ? renderer(withMarks(source)) : undefined };
}

const GENERATION = /\{%-?\s*generation\s*-?%\}/;
/** A tag, with the blanks in front and the line break behind that Jinja takes away. */
const TAG = /(^[ \t]*)?\{%(-?)\s*(end)?generation\s*(-?)%\}\n?/gm;

/** Puts marks in the place of the tags, which the library leaves out. */
function withMarks(source: string): string {
  return source.replace(TAG, (_, _blanks, before: string, end: string | undefined, behind: string) => {
    return `{{${before} "${end === undefined ? BEGIN : END}" ${behind}}}`;
  });
}

function textOf(result: { readonly value?: unknown }): string {
  if (typeof result.value !== "string") throw new Error("it writes no text");
  return result.value;
}

function refuse(message: unknown): never {
  throw new Error(`it refuses: ${String(message)}`);
}

const monthNames = "January February March April May June July August September October November December".split(" ");
const two = (number: number): string => String(number).padStart(2, "0");

/** Python's strftime of the fixed day. */
function formatDate(format: unknown): string {
  const month = monthNames[TODAY.getUTCMonth()] ?? "";
  const known: Readonly<Record<string, string>> = {
    Y: String(TODAY.getUTCFullYear()),
    m: two(TODAY.getUTCMonth() + 1),
    d: two(TODAY.getUTCDate()),
    B: month,
    b: month.slice(0, 3),
    A: "Friday",
    a: "Fri",
    H: "00",
    M: "00",
    S: "00",
    "%": "%",
  };
  return String(format).replace(/%(.)/g, (directive, letter: string) => {
    const text = known[letter];
    if (text === undefined) throw new Error(`it asks for the date as ${directive}, which cannot be written`);
    return text;
  });
}

/** Python's range, as a list. */
function range(from: number, to?: number, step = 1): number[] {
  const [begin, end] = to === undefined ? [0, from] : [from, to];
  const length = Math.max(0, Math.ceil((end - begin) / step));
  if (!(length <= MAX_RANGE)) throw new Error(`it counts to ${length}, at most ${MAX_RANGE} is allowed`);
  return Array.from({ length }, (_, i) => begin + i * step);
}

/** What every template may use. */
const constants = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range,
  strftime_now: formatDate,
  raise_exception: refuse,
};
