/**
 * One instruction record as token ids and targets, as LLaMA-Adapter's own data code makes them:
 *
 *   prompt ids = BOS + encode(prompt)        full ids = BOS + encode(prompt + output) + EOS
 *                                            (prompt + " " + output in the template of ScienceQA)
 *
 * with the BOS that the tokenizer's own post-processor puts in front, if it does, or by the rule of 0.1.0 the one that is named;
 * cut on the right at `maxLength` (which may take the EOS away), with the response alone as target.
 */
import { type BosRule, InputError, type Template } from "@zerogate/core";
import type { InstructionRecord } from "./record.ts";
import { answerLead, renderPrompt } from "./templates.ts";
import type { EncodedChunk } from "./token_set.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Which tokens are targets: those of the response with its EOS, or all that something precedes. */
export type MaskRule = "response" | "all";

/** How a record becomes tokens, and which of them are targets. */
export interface SampleFormat {
  readonly template: Template;
  /** What goes in front. @default "tokenizer" */
  readonly bos?: BosRule;
  readonly rule: MaskRule;
  /** Tokens, BOS and EOS included. */
  readonly maxLength: number;
}

/** A record in tokens. */
export interface EncodedSample {
  readonly ids: readonly number[];
  /** The first target; everything from here on is one. At least 1: nothing precedes token 0. */
  readonly firstTarget: number;
  /** Tokens before the cut. */
  readonly wholeLength: number;
}

/**
 * BOS (if the rule gives one) and EOS are there exactly once, even if the template spells the BOS.
 * Special tokens count in the template only; written in a record they are ordinary text, or data could end a sample.
 * Tokenizers may merge over the end of the prompt. Then the targets begin at the first token that differs from the
 * prompt's own ids, so that every token of the response is trained.
 *
 * @throws InputError if a record spells a special token while its template holds some: nothing shows which is which.
 */
export function encodeSample(tokenizer: Tokenizer, format: SampleFormat, record: InstructionRecord): EncodedSample {
  const { template, bos, rule, maxLength } = format;
  const prompt = renderPrompt(template, record);
  const asText = readsSpecialAsText(tokenizer, template, { ...record });
  const encode = (text: string) => encodeText(tokenizer, text, bos, asText);
  const ids = naming(record, () => encode(`${prompt}${answerLead(template)}${record.output}`));
  ids.push(tokenizer.eosId);
  const firstTarget = rule === "all" ? 1 : Math.max(1, commonPrefix(encode(prompt), ids));
  return { ids: ids.slice(0, maxLength), firstTarget, wholeLength: ids.length };
}

/** The prompt of an instruction, with the ids that training gave such prompts. @throws InputError as `encodeSample` does. */
export function encodePrompt(
  tokenizer: Tokenizer,
  { template, bos }: Pick<SampleFormat, "template" | "bos">,
  { instruction, input }: Pick<InstructionRecord, "instruction" | "input">,
): number[] {
  const asText = readsSpecialAsText(tokenizer, template, { instruction, input });
  return encodeText(tokenizer, renderPrompt(template, { instruction, input }), bos, asText);
}

/** Encodes records in order. One whose targets are all cut off is dropped: nothing could be learned from it. */
export function encodeChunk(
  tokenizer: Tokenizer,
  format: SampleFormat,
  records: readonly InstructionRecord[],
): EncodedChunk {
  const samples = records.map((record) => encodeSample(tokenizer, format, record));
  const lengths = Int32Array.from(samples, ({ ids, firstTarget }) => (firstTarget < ids.length ? ids.length : 0));
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
    target.fill(1, begin + sample.firstTarget, begin + length);
    begin += length;
  }
  const wholeLengths = Int32Array.from(samples, ({ wholeLength }) => wholeLength);
  const neededLengths = Int32Array.from(samples, ({ firstTarget }) => firstTarget + 1);
  return { ids, target, lengths, wholeLengths, neededLengths, truncated, droppedNoTarget };
}

/** Whether special tokens spelled in the record are ordinary text; false if only the template's are there to count. */
function readsSpecialAsText(
  tokenizer: Tokenizer,
  template: Template,
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
