/**
 * How the prompts of an adapter were written: `zerogate.json` beside its numbers. PEFT reads other files only. An adapter without
 * it, such as PEFT's own or one of 0.1.0, does not say.
 */
import { InputError } from "../../errors.ts";
import { isJsonObject } from "../../formats/json_fields.ts";

/** How an instruction record becomes the text in front of its answer, or a chat its text. */
export type Template = TextTemplate | ChatTemplate;

/** Two texts with places for the fields of an instruction record. */
export interface TextTemplate {
  readonly name: string;
  /** Used if the record has an input; holds `{instruction}` and `{input}`. */
  readonly withInput: string;
  /** Used if the record's input is empty; holds `{instruction}`. */
  readonly withoutInput: string;
}

/** Which turns of the assistant are trained: all, or the last one of each chat. */
export const turnRules = ["all", "last"] as const;
/** Which turns of the assistant are trained. */
export type TurnRule = (typeof turnRules)[number];

/** A chat template in Jinja, as models bring it. It writes all that goes in front by itself. */
export interface ChatTemplate {
  readonly name: string;
  /** Its source. */
  readonly chat: string;
  /** What the names of special tokens stand for in it, such as `bos_token`. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly turns: TurnRule;
  /** The text of the token that ends a turn of the assistant. */
  readonly end: string;
}

/**
 * What goes in front of a text: what the post-processor of tokenizer.json puts there, or the `bos_token` wherever one is named,
 * as all of 0.1.0 did.
 */
export const bosRules = ["tokenizer", "named"] as const;
/** What goes in front of a text: what tokenizer.json says, or any BOS that is named. */
export type BosRule = (typeof bosRules)[number];

/** How the prompts of an adapter are written. */
export interface PromptFormat {
  readonly template: Template;
  readonly bos: BosRule;
}

export const PROMPT_FORMAT = "zerogate.json";
const VERSION = 1;
/** Of adapters with a chat template, which 0.1.0 would not understand. */
const CHAT_VERSION = 2;
const PLACEHOLDER = /\{([A-Za-z_]\w*)\}/g;

/** What is wrong with the texts of a template: each placeholder that is needed has to appear, and nothing else in braces. */
export function templateProblems({ withInput, withoutInput }: Readonly<Record<string, unknown>>): string[] {
  return [
    ...textProblems("withInput", withInput, ["instruction", "input"]),
    ...textProblems("withoutInput", withoutInput, ["instruction"]),
  ];
}

export function serializePromptFormat({ template, bos }: PromptFormat): string {
  const stored = isChatTemplate(template) ? chatFields(template) : textFields(template);
  const version = isChatTemplate(template) ? CHAT_VERSION : VERSION;
  return `${JSON.stringify({ version, template: stored, bos }, undefined, 2)}\n`;
}

/** Reads what `serializePromptFormat` wrote; `path` is for messages. Throws an `InputError` with everything that is wrong. */
export function parsePromptFormat(json: unknown, path: string): PromptFormat {
  const fail = (problems: string | string[]) => new InputError(`Cannot use ${path}`, problems);
  if (!isJsonObject(json)) throw fail("it is not an object, {version, template, bos} is needed");
  const { version, template, bos, ...others } = json;
  if (version !== VERSION && version !== CHAT_VERSION) {
    const known = `${VERSION} and ${CHAT_VERSION}`;
    throw fail(`its version is ${JSON.stringify(version)}, this program reads ${known}: use the one that wrote it`);
  }
  const problems = Object.keys(others).map((key) => `${JSON.stringify(key)} is no key of it`);
  const rule = bosRules.find((name) => name === bos);
  if (!rule) problems.push(`bos is ${JSON.stringify(bos)}, one of ${bosRules.join(", ")} is needed`);
  const found = isJsonObject(template) ? template : {};
  if (typeof found["name"] !== "string") problems.push("template.name is missing, a text is needed");
  const ofKind = version === CHAT_VERSION ? chatProblems(found) : templateProblems(found);
  problems.push(...ofKind.map((problem) => `template.${problem}`));
  if (!rule || problems.length > 0) throw fail(problems);
  const stored = found as unknown as Template;
  return { template: isChatTemplate(stored) ? chatFields(stored) : textFields(stored), bos: rule };
}

/** Whether both write the same prompts; names of templates do not count. */
export function isSameTemplate(a: Template, b: Template): boolean {
  const textsOf = (template: Template): unknown[] => {
    if (!isChatTemplate(template)) return [template.withInput, template.withoutInput];
    const { chat, tokens } = template;
    return [
      chat,
      ...Object.entries(tokens)
        .map((entry) => JSON.stringify(entry))
        .toSorted(),
    ];
  };
  return JSON.stringify(textsOf(a)) === JSON.stringify(textsOf(b));
}

/**
 * Whether a template is one in Jinja, for chats.
 *
 * @example
 * isChatTemplate({ name: "mine", withInput: "{instruction} {input}", withoutInput: "{instruction}" }); // false
 */
export function isChatTemplate(template: Template): template is ChatTemplate {
  return "chat" in template;
}

const textFields = ({ name, withInput, withoutInput }: TextTemplate): TextTemplate => ({
  name,
  withInput,
  withoutInput,
});

const chatFields = ({ name, chat, tokens, turns, end }: ChatTemplate): ChatTemplate => ({
  name,
  chat,
  tokens,
  turns,
  end,
});

function chatProblems({ chat, tokens, turns, end }: Readonly<Record<string, unknown>>): string[] {
  const problems: string[] = [];
  for (const [field, text] of Object.entries({ chat, end }))
    if (typeof text !== "string" || text === "") problems.push(`${field} is missing, a text is needed`);
  if (!isJsonObject(tokens) || !Object.values(tokens).every((text) => typeof text === "string"))
    problems.push("tokens is missing, texts by the names of special tokens are needed");
  if (!turnRules.some((name) => name === turns))
    problems.push(`turns is ${JSON.stringify(turns)}, one of ${turnRules.join(", ")} is needed`);
  return problems;
}

function textProblems(field: string, text: unknown, needed: readonly string[]): string[] {
  if (typeof text !== "string")
    return [`${field} is ${text === undefined ? "missing" : typeof text}, a text is needed`];
  const found = new Set(Array.from(text.matchAll(PLACEHOLDER), ([, name]) => name));
  const missing = needed.filter((name) => !found.has(name));
  const unknown = [...found].filter((name) => !needed.includes(name));
  return [
    ...missing.map((name) => `${field} has no {${name}}, it is needed`),
    ...unknown.map(
      (name) => `${field} holds {${name}}, only ${needed.map((n) => `{${n}}`).join(" and ")} can be filled in`,
    ),
  ];
}
