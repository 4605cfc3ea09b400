/** `inspect DATA --sample N --model M`: records as a run would train them, with what is trained between ⟦ and ⟧. */
import { InputError, turnRules } from "@zerogate/core";
import {
  type DataRecord,
  isChat,
  loadTemplate,
  loadTokenizer,
  readRecords,
  type TokenizeOptions,
  type Tokenizer,
  tokenizeRecords,
} from "@zerogate/data";
import { choiceFlag, numberFlag } from "../flags.ts";

export interface SampleFlags {
  /** How many records to show. */
  readonly sample?: string;
  /** The base whose tokenizer and template write them. */
  readonly model?: string;
  readonly template?: string;
  readonly turns?: string;
  readonly maxLength?: string;
}

/** One record as a run would train it. */
interface Sample {
  /** Tokens, and how many of them are trained. */
  readonly tokens: number;
  readonly trained: number;
  /** Tokens that `maxLength` takes from its end. */
  readonly cut: number;
  /** Parts of its text in order. */
  readonly parts: readonly { readonly isTrained: boolean; readonly text: string }[];
}

const MOST = 1000;
const DEFAULT_LENGTH = 512;
/** Longer than any record may be. */
const WHOLE = 2 ** 24;

/** @throws InputError without a base, and as a run would for data and template. */
export async function sampleRecords(path: string, flags: SampleFlags): Promise<(Sample | undefined)[]> {
  const problems: string[] = [];
  const count = numberFlag("--sample", flags.sample, 1, { min: 1, max: MOST, whole: true }, problems);
  const lengths = { min: 2, max: WHOLE, whole: true };
  const maxLength = numberFlag("--max-length", flags.maxLength, DEFAULT_LENGTH, lengths, problems);
  const turns = choiceFlag("--turns", flags.turns, turnRules, problems);
  if (flags.model === undefined)
    problems.push("--model is missing: name the base whose tokenizer and template write them");
  if (problems.length > 0 || flags.model === undefined)
    throw new InputError(`Cannot show samples of ${path}`, problems);
  const { records } = await readRecords(path, { skipBad: true, chats: true });
  const shown = records.slice(0, count);
  const tokenizer = await loadTokenizer(flags.model);
  const template = await loadTemplate(flags.template ?? (shown.some(isChat) ? "chat" : "alpaca"), tokenizer, turns);
  const options = { tokenizer, template, rule: "response", maxLength } as const;
  return await Promise.all(shown.map(async (record) => await sampleOf(record, options)));
}

/** Undefined if nothing that is trained is left within `maxLength`. */
async function sampleOf(record: DataRecord, options: TokenizeOptions): Promise<Sample | undefined> {
  const whole = await tokenizeRecords([record], { ...options, maxLength: WHOLE });
  const found = await tokenizeRecords([record], options).catch((error: unknown) => {
    if (error instanceof InputError) return undefined; // whole it was fine: nothing is left of it
    throw error;
  });
  if (!found) return undefined;
  const [ids, target] = [[...found.tokens.ids], [...found.tokens.target]];
  const trained = target.filter((value) => value === 1).length;
  const cut = whole.tokens.ids.length - ids.length;
  return { tokens: ids.length, trained, cut, parts: partsOf(ids, target, options.tokenizer) };
}

/** Splits a sample into parts that are trained and parts that are not. */
function partsOf(
  ids: readonly number[],
  target: readonly number[],
  tokenizer: Pick<Tokenizer, "decode">,
): Sample["parts"] {
  const parts: { isTrained: boolean; text: string }[] = [];
  let begin = 0;
  let done = "";
  for (let t = 1; t <= ids.length; t++) {
    if (t < ids.length && target[t] === target[begin]) continue;
    // A part is what the text grows by: the bytes of one character may lie on both sides.
    const shown = tokenizer.decode(ids.slice(0, t), { keepSpecialTokens: true });
    const text = t === ids.length ? shown : shown.replace(/\uFFFD+$/u, "");
    parts.push({ isTrained: target[begin] === 1, text: text.slice(done.length) });
    done = text;
    begin = t;
  }
  return parts;
}

/** The samples as text. */
export function describeSamples(samples: readonly (Sample | undefined)[]): string {
  return samples
    .map((sample, i) => {
      if (!sample) return `sample ${i + 1}: nothing that is trained is left within --max-length\n`;
      const { tokens, trained, cut, parts } = sample;
      const lost = cut > 0 ? `, ${cut} more are cut off` : "";
      const text = parts.map(({ isTrained, text: part }) => (isTrained ? `⟦${part}⟧` : part)).join("");
      return `sample ${i + 1}: ${tokens} tokens, ${trained} trained${lost}\n${text}\n`;
    })
    .join("\n");
}
