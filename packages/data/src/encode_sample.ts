/**
 * One instruction record as token ids and targets, as LLaMA-Adapter's own data code makes them:
 *
 *   prompt ids = BOS + encode(prompt)        full ids = BOS + encode(prompt + output) + EOS
 *                                            (prompt + " " + output in the template of ScienceQA)
 *
 * with the BOS that the tokenizer's own post-processor puts in front, if it does, or by the rule of 0.1.0 the one that is named;
 * cut on the right at `maxLength` (which may take the EOS away), with the response alone as target.
 */
import {
  type BosRule,
  type ChatTemplate,
  InputError,
  isChatTemplate,
  type Template,
  type TextTemplate,
} from "@zerogate/core";
import { encodeChat, encodeRendered, rendererOf } from "./chat/encode.ts";
import { askedMessage, type ChatMessage } from "./chat/record.ts";
import type { RenderedChat } from "./chat/spans.ts";
import type { InstructionRecord } from "./record.ts";
import type { EncodedSample, MaskRule } from "./sample.ts";
import { answerLead, renderPrompt } from "./templates.ts";
import type { EncodedChunk } from "./token_set.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** How a record becomes tokens, and which of them are targets. */
export interface SampleFormat {
  readonly template: Template;
  /** What goes in front. @default "tokenizer" */
  readonly bos?: BosRule;
  readonly rule: MaskRule;
  /** Tokens, BOS and EOS included. */
  readonly maxLength: number;
}

/**
 * BOS (if the rule gives one) and EOS are there exactly once, even if the template spells the BOS.
 * Special tokens count in the template only; written in a record they are ordinary text, or data could end a sample.
 * Tokenizers may merge over the end of the prompt. Then the targets begin at the first token that differs from the
 * prompt's own ids, so that every token of the response is trained.
 *
 * @throws InputError if a record spells a special token while its template holds some: nothing shows which is which.
 */
export function encodeSample(
  tokenizer: Tokenizer,
  format: SampleFormat,
  record: InstructionRecord | RenderedChat,
): EncodedSample {
  if ("spans" in record) return encodeChat(tokenizer, format, record);
  const { bos, rule, maxLength } = format;
  const template = textTemplate(format.template);
  const prompt = renderPrompt(template, record);
  const asText = readsSpecialAsText(tokenizer, template, { ...record });
  const encode = (text: string) => encodeText(tokenizer, text, bos, asText);
  const ids = naming(record, () => encode(`${prompt}${answerLead(template)}${record.output}`));
  ids.push(tokenizer.eosId);
  const firstTarget = rule === "all" ? 1 : Math.max(1, commonPrefix(encode(prompt), ids));
  return { ids: ids.slice(0, maxLength), firstTarget, wholeLength: ids.length };
}

/** What is asked: an instruction, in a chat after what was said before it. */
export interface Asked extends Pick<InstructionRecord, "instruction" | "input"> {
  /** @default none */
  readonly messages?: readonly ChatMessage[] | undefined;
}

/** A prompt as text and as ids. */
export interface EncodedPrompt {
  readonly text: string;
  readonly ids: number[];
}

/**
 * The prompt of a question, with the ids that training gave such prompts.
 *
 * @throws InputError as `encodeSample` does, and for messages before it under a template that is not one of chats.
 */
export async function encodeQuestion(
  tokenizer: Tokenizer,
  { template, bos }: Pick<SampleFormat, "template" | "bos">,
  { instruction, input, messages = [] }: Asked,
): Promise<EncodedPrompt> {
  if (isChatTemplate(template)) {
    return await encodeMessages(tokenizer, template, [...messages, askedMessage({ instruction, input })]);
  }
  if (messages.length > 0) {
    const problem = "it is no template of chats, so nothing can be said before the question";
    throw new InputError(`Cannot use the template "${template.name}"`, problem);
  }
  const text = renderPrompt(template, { instruction, input });
  return { text, ids: encodePrompt(tokenizer, { template, bos }, { instruction, input }) };
}

/**
 * The prompt of a chat, with the beginning of an answer behind its last message.
 *
 * @throws InputError if the template does not write it.
 */
export async function encodeMessages(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
): Promise<EncodedPrompt> {
  const rendered = await rendererOf(template, tokenizer).ask({ messages });
  return { text: rendered.text.replaceAll("\u{10FFFF}", ""), ids: encodeRendered(tokenizer, rendered) };
}

/** The prompt of an instruction under a template of two texts. @throws InputError as `encodeSample` does. */
export function encodePrompt(
  tokenizer: Tokenizer,
  { template, bos }: { readonly template: TextTemplate; readonly bos?: BosRule | undefined },
  { instruction, input }: Pick<InstructionRecord, "instruction" | "input">,
): number[] {
  const asText = readsSpecialAsText(tokenizer, template, { instruction, input });
  return encodeText(tokenizer, renderPrompt(template, { instruction, input }), bos, asText);
}

/** Encodes records in order. One whose targets are all cut off is dropped: nothing could be learned from it. */
export function encodeChunk(
  tokenizer: Tokenizer,
  format: SampleFormat,
  records: readonly (InstructionRecord | RenderedChat)[],
): EncodedChunk {
  const samples = records.map((record) => encodeSample(tokenizer, format, record));
  const lengths = Int32Array.from(samples, (sample) => (hasTarget(sample) ? sample.ids.length : 0));
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const ids = new Int32Array(tokens);
  const target = new Uint8Array(tokens);
  let begin = 0;
  let truncated = 0;
  let droppedNoTarget = 0;
  for (const [s, sample] of samples.entries()) {
    const length = lengths[s]!;
    if (sample.wholeLength > sample.ids.length) truncated++;
    if (length === 0) {
      droppedNoTarget++;
      continue;
    }
    ids.set(sample.ids, begin);
    for (const [from, to] of sample.spans ?? [[sample.firstTarget, length]])
      target.fill(1, begin + Math.min(from, length), begin + Math.min(to, length));
    begin += length;
  }
  const wholeLengths = Int32Array.from(samples, ({ wholeLength }) => wholeLength);
  const neededLengths = Int32Array.from(samples, ({ firstTarget }) => firstTarget + 1);
  return { ids, target, lengths, wholeLengths, neededLengths, truncated, droppedNoTarget };
}

const hasTarget = ({ ids, firstTarget, spans }: EncodedSample): boolean =>
  spans ? spans.some(([from, to]) => from < Math.min(to, ids.length)) : firstTarget < ids.length;

/** @throws Error for a chat template: its records are rendered before they are encoded. */
function textTemplate(template: Template): TextTemplate {
  if (isChatTemplate(template)) throw new Error(`Cannot encode a record that "${template.name}" has not rendered`);
  return template;
}

/** Whether special tokens spelled in the record are ordinary text; false if only the template's are there to count. */
function readsSpecialAsText(
  tokenizer: Tokenizer,
  template: TextTemplate,
  record: Readonly<Record<string, string>>,
): boolean {
  const inRecord = Object.values(record).some((text) => tokenizer.holdsSpecialToken(text));
  if (inRecord && tokenizer.holdsSpecialToken(template.withInput + template.withoutInput)) {
    throw new InputError("Cannot encode a record", `${nameOf(record)} spells a special token and so does the template`);
  }
  return inRecord;
}

const nameOf = ({ instruction = "" }: { readonly instruction?: string }): string =>
  `the one that begins ${JSON.stringify(instruction.slice(0, 60))}`;

/** Names the record in what cannot be encoded. */
function naming<T>(record: InstructionRecord, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const problems = error.problems.map((problem) => `${nameOf(record)}: ${problem}`);
    throw new InputError("Cannot encode a record", problems, { cause: error });
  }
}

/** What goes in front, unless the text begins with it, then the text. */
function encodeText(
  tokenizer: Tokenizer,
  text: string,
  bos: BosRule | undefined,
  specialTokensAsText: boolean,
): number[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: false, specialTokensAsText });
  const front = tokenizer.frontIds(bos);
  const isThere = front.every((id, i) => ids[i] === id);
  return isThere ? ids : [...front, ...ids];
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
