/**
 * Token by token generation of several texts at once, each with its own prompt, adapter, sampling and KV cache. A text joins
 * as soon as another has ended, and each gets the tokens that it would get alone (bit for bit if the engine's sums do not
 * depend on how many rows there are, as the reference engine's do not).
 */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { ImageInput } from "../cell/tokens.ts";
import { InputError } from "../errors.ts";
import { type ImageLease, leaseImage } from "../model/cell_images.ts";
import type { DecoderModel } from "../model/decoder.ts";
import type { PromptCache, PromptLease } from "../model/prompt_cache.ts";
import { type SamplingOptions, sampleToken } from "./sample.ts";
import { appendTokens, closeSequence, openSequence, type Sequence } from "./sequence.ts";

/** `stop` is set by `streamText`: a stop string was found. */
export type FinishReason = "eos" | "length" | "context" | "stop";

/** How one text is generated. */
export interface TextOptions extends SamplingOptions {
  /** Upper bound on new tokens; fewer if the model's context ends first. */
  readonly maxNewTokens: number;
  /** Tokens that end the text (they are not yielded). @default the model's */
  readonly eosTokenIds?: readonly number[];
}

/** One text to generate. */
export interface TextRequest extends TextOptions {
  readonly promptIds: readonly number[];
  /** Under which the text is continued. @default the base alone */
  readonly adapter?: AdapterState | undefined;
  /** Blends the gates: 0 is the base, 1 the adapter. @default 1 */
  readonly scale?: number;
  /** The image that it is about, as its adapter takes it. @default none */
  readonly image?: ImageInput | undefined;
}

/** A new token of a request, or why it ended. */
export type BatchEvent =
  | { readonly request: number; readonly id: number }
  | { readonly request: number; readonly finishReason: FinishReason };

/** How several texts are generated at once. */
export interface BatchOptions {
  /** Texts that are worked on at the same time; each holds a KV cache. @default 16 */
  readonly maxTexts?: number;
  /** Ends all texts with an error before the next token. @default none */
  readonly signal?: AbortSignal | undefined;
}

/** A request that is being worked on. */
interface Text {
  readonly request: number;
  readonly options: TextRequest;
  readonly sequence: Sequence;
  readonly lease: PromptLease | undefined;
  readonly imageLease: ImageLease | undefined;
  /** Tokens that the next pass appends: the prompt, then one at a time. */
  pending: readonly number[];
  count: number;
}

/**
 * Yields the tokens of all requests as they come, round by round. The parameters of a request are read once, when its text
 * begins. Leaving the loop early frees everything.
 * @throws InputError listing every request that is empty, does not fit the context, or has a scale outside of 0…1.
 */
export async function* decodeTexts(
  model: DecoderModel,
  cache: PromptCache,
  requests: readonly TextRequest[],
  { maxTexts = 16, signal }: BatchOptions = {},
): AsyncGenerator<BatchEvent, void, void> {
  checkRequests(requests, model.config.contextLength);
  let next = 0;
  let texts: Text[] = [];
  const close = ({ sequence, lease, imageLease }: Text) => {
    closeSequence(model, sequence);
    imageLease?.release();
    lease?.release();
  };
  try {
    for (;;) {
      for (; next < requests.length && texts.length < maxTexts; next++) {
        if (requests[next].maxNewTokens === 0) yield { request: next, finishReason: "length" };
        else texts.push(await openText(model, cache, next, requests[next]));
      }
      if (texts.length === 0) return;
      signal?.throwIfAborted();
      texts = neighboursAlike(texts);
      const logits = await appendTokens(
        model,
        texts.map(({ sequence }) => sequence),
        texts.map(({ pending }) => pending),
      );
      const events = texts.map((text, i) => ({ text, ...advance(model, text, logits[i]) }));
      texts = events.flatMap(({ text, finishReason }) => (finishReason === undefined ? [text] : []));
      for (const { text, finishReason } of events) if (finishReason !== undefined) close(text);
      for (const { text, id, finishReason } of events) {
        if (id !== undefined) yield { request: text.request, id };
        if (finishReason !== undefined) yield { request: text.request, finishReason };
      }
    }
  } finally {
    texts.forEach(close);
  }
}

async function openText(model: DecoderModel, cache: PromptCache, request: number, options: TextRequest): Promise<Text> {
  const { promptIds, adapter, scale = 1, image, maxNewTokens } = options;
  const imageLease = await leaseImage(model, adapter, image);
  let lease: PromptLease | undefined;
  const capacity = Math.min(model.config.contextLength, promptIds.length + maxNewTokens);
  try {
    lease = adapter && scale !== 0 ? await cache.lease(adapter) : undefined;
    const adapted = lease && { prompts: lease.prompts, scale, image: imageLease?.image };
    const sequence = openSequence(model, capacity, adapted);
    return { request, options, sequence, lease, imageLease, pending: promptIds, count: 0 };
  } catch (error) {
    imageLease?.release();
    lease?.release();
    throw error;
  }
}

/** Takes the token that these logits give, and says whether the text ends with or before it. */
function advance(
  { config }: DecoderModel,
  text: Text,
  logits: Float32Array,
): { id?: number; finishReason?: FinishReason | undefined } {
  const { sequence, options } = text;
  const id = sampleToken(logits, sequence.ids.length, options);
  if ((options.eosTokenIds ?? config.eosTokenIds).includes(id)) return { finishReason: "eos" };
  text.pending = [id];
  text.count++;
  if (text.count === options.maxNewTokens) return { id, finishReason: "length" };
  return { id, finishReason: sequence.ids.length + 1 > config.contextLength ? "context" : undefined };
}

/** Texts of one adapter side by side: then its prompts are attended to once a layer. */
function neighboursAlike(texts: readonly Text[]): Text[] {
  const adapters = [...new Set(texts.map(({ lease }) => lease?.prompts))];
  const place = ({ lease }: Text) => adapters.indexOf(lease?.prompts);
  return texts.toSorted((a, b) => place(a) - place(b));
}

function checkRequests(requests: readonly TextRequest[], contextLength: number): void {
  const problems = requests.flatMap(({ promptIds: { length }, scale = 1 }, i) => {
    const where = requests.length > 1 ? `text ${i + 1}: ` : "";
    const found: string[] = [];
    if (length === 0) found.push("the prompt has no tokens, give at least one");
    if (length >= contextLength) {
      const sizes = `the prompt has ${length} tokens, the model's context is ${contextLength}`;
      found.push(`${sizes}: shorten the prompt to leave room for the answer`);
    }
    if (!(scale >= 0 && scale <= 1)) found.push(`the scale is ${scale}, use 0 (the base) to 1 (the adapter)`);
    return found.map((problem) => where + problem);
  });
  if (problems.length > 0) throw new InputError("Cannot generate", problems);
}
