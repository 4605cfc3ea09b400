/**
 * One text being generated: its tokens, which of them are in its caches, and what the next pass appends.
 *
 * Rows of the prompt are summed in the order of many rows, however few there are, rows of the answer and of the head in the order of
 * one row, however many. So a token has the same bits in any pass, and a text whose caches are lost goes on as it would have.
 */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { ImageInput } from "../cell/tokens.ts";
import { BadLogitsError, InputError } from "../errors.ts";
import { leaseImage } from "../model/cell_images.ts";
import type { DecoderModel } from "../model/decoder.ts";
import type { PromptCache } from "../model/prompt_cache.ts";
import type { SequencePrompts } from "../model/prompts.ts";
import { longestRotation } from "../model/rope_angles.ts";
import type { ConstrainedText, TokenConstraint } from "./constraint.ts";
import { type SamplingOptions, sampleToken } from "./sample.ts";
import { scoreToken, type TokenScores } from "./scores.ts";
import type { Appended, AppendedResult, AppendOrder, Sequence } from "./sequence.ts";

/**
 * Why a text ended: an end token, its length, the end of the context, a stop token (or a stop string, which `streamText` finds, or
 * a constraint under which nothing may follow), or a caller who wants no more.
 */
export type FinishReason = "eos" | "length" | "context" | "stop" | "cancelled";

/** How one text is generated. */
export interface TextOptions extends SamplingOptions {
  /** Upper bound on new tokens; fewer if the model's context ends first. */
  readonly maxNewTokens: number;
  /** Tokens that end the text (they are not yielded). @default the model's */
  readonly eosTokenIds?: readonly number[];
  /** Further tokens that end the text and are not yielded; it then ends with `stop`. @default none */
  readonly stopTokenIds?: readonly number[];
  /** What the text must be; it then ends with `stop` once it is whole. @default any text */
  readonly constraint?: TokenConstraint;
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

/** One text to generate beside others, and for whom. */
export interface ScheduledRequest extends TextRequest {
  /** Names it in errors. @default its number */
  readonly name?: string;
  /** Names its adapter in errors; time is shared between the adapters of a user. @default none */
  readonly adapterName?: string;
  /** Time is shared between users. @default one user for all */
  readonly user?: string;
  /** Gives each new token its log-probability, and those of this many most likely ones in its place. @default no scores */
  readonly topScores?: number;
  /** Scores the prompt as well, as `topScores` says (0 without it): what each token's log-probability is after those before it. @default false */
  readonly echo?: boolean;
  /** The beginning of the answer, if another scheduler made it: not handed out again, but counted. @default none */
  readonly answerIds?: readonly number[];
  /** When the text ends with an error, in milliseconds of `performance.now()`. @default never */
  readonly deadline?: number;
}

/** A new token of a text; the scores of its prompt from the second token on, before the first new one; why it ended; or its error. */
export type TextEvent =
  | { readonly id: number; readonly scores?: TokenScores }
  | { readonly promptScores: readonly TokenScores[] }
  | { readonly finishReason: FinishReason }
  | { readonly error: Error };

/** What a text holds of its adapter, as that was when the text began. */
export interface TextLeases {
  readonly adapted: SequencePrompts | undefined;
  release(): void;
}

/** A text that waits or is worked on. */
export interface Text {
  readonly number: number;
  readonly request: ScheduledRequest;
  readonly user: string;
  readonly adapter: string;
  /** Prompt and answer so far. */
  readonly ids: number[];
  isCancelled: boolean;
  /** Scores of the prompt so far; undefined if none are wanted, or if they have been handed out. */
  promptScores: TokenScores[] | undefined;
  /** Its answer so far, if it is constrained. */
  readonly constrained: ConstrainedText | undefined;
  leases?: TextLeases;
  /** Its keys and values, while it is worked on. */
  sequence?: Sequence | undefined;
}

/** A text that is worked on. */
export type OpenText = Text & { sequence: Sequence };

/** What one round appends to a text. */
export interface NextRows extends Appended {
  readonly order: AppendOrder;
}

/** Makes a text that waits. */
export function createText(number: number, request: ScheduledRequest): Text {
  const { promptIds, answerIds = [], user = "", adapterName: adapter = "", echo = false } = request;
  const ids = [...promptIds, ...answerIds];
  const promptScores = echo && answerIds.length === 0 ? [] : undefined;
  const constrained = request.constraint?.begin(answerIds);
  return { number, request, user, adapter, ids, isCancelled: false, promptScores, constrained };
}

/** The name of a text in errors. */
export function nameOf({ number, request }: Text): string {
  const under = request.adapterName === undefined ? "" : ` under adapter "${request.adapterName}"`;
  return (request.name === undefined ? `text ${number + 1}` : `text "${request.name}"`) + under;
}

/** Tokens of the answer so far. */
export const answerLength = ({ ids, request }: Text): number => ids.length - request.promptIds.length;

/** The most tokens that its caches will hold. */
export function capacityOf({ config }: DecoderModel, { promptIds, maxNewTokens }: TextRequest): number {
  return Math.min(config.contextLength, promptIds.length + maxNewTokens);
}

/** Leases what the text needs of its adapter and its image. */
export async function leaseText(
  model: DecoderModel,
  cache: PromptCache,
  { adapter, scale = 1, image }: Pick<TextRequest, "adapter" | "scale" | "image">,
): Promise<TextLeases> {
  const imageLease = await leaseImage(model, adapter, image);
  try {
    const lease = adapter && scale !== 0 ? await cache.lease(adapter) : undefined;
    return {
      adapted: lease && { prompts: lease.prompts, scale, image: imageLease?.image },
      release() {
        imageLease?.release();
        lease?.release();
      },
    };
  } catch (error) {
    imageLease?.release();
    throw error;
  }
}

/** What comes next of a text, at most `tokens` of it. */
export function nextRows(model: DecoderModel, text: OpenText, tokens: number): NextRows {
  const { ids, request, sequence } = text;
  const done = sequence.ids.length;
  const longest = longestRotation(model.config);
  const prompt = request.promptIds.length;
  // A text that outgrows its rotation is made again up to there, all at once, as a prompt is.
  const promptRows = ids.length > longest ? Math.max(prompt, longest + 1) : prompt;
  const isPrompt = done < promptRows;
  const end = isPrompt ? promptRows : ids.length;
  const isWhole = isPrompt && Number.isFinite(longest);
  const to = isWhole ? end : Math.min(end, done + tokens);
  const labels = text.promptScores && ids.slice(done + 1, Math.min(to + 1, prompt));
  return {
    sequence,
    ids: ids.slice(done, to),
    isRead: to === ids.length,
    order: isPrompt ? "packed" : "alone",
    scored: labels && { labels, top: request.topScores ?? 0 },
  };
}

/** Takes what a pass says of a text. */
export function takeResult(model: DecoderModel, text: Text, { logits, scores }: AppendedResult): TextEvent[] {
  text.promptScores?.push(...scores);
  if (!logits) return [];
  const { promptScores } = text;
  text.promptScores = undefined;
  const events: TextEvent[] = promptScores ? [{ promptScores }] : [];
  if (text.request.maxNewTokens === 0) return [...events, { finishReason: "length" }];
  return [...events, ...advance(model, text, logits)];
}

/** Takes the token that these logits give, and says whether the text ends with or before it. */
function advance({ config }: DecoderModel, text: Text, logits: Float32Array): TextEvent[] {
  const { ids, request, constrained } = text;
  const { topScores, maxNewTokens } = request;
  const bad = firstBad(logits);
  if (bad >= 0)
    return [{ error: new BadLogitsError(nameOf(text), { position: ids.length, id: bad, logit: logits[bad] }) }];
  const endIds = request.eosTokenIds ?? config.eosTokenIds;
  const left = Math.min(maxNewTokens - answerLength(text), config.contextLength + 1 - ids.length);
  const allowed = constrained?.masked(logits, { left, endIds }) ?? logits;
  if (constrained && !allowed.some((logit) => logit > Number.NEGATIVE_INFINITY)) return [{ error: noToken(text) }];
  const id = sampleToken(allowed, ids.length, request, { ids, promptLength: request.promptIds.length });
  if (endIds.includes(id)) return [{ finishReason: "eos" }];
  if (request.stopTokenIds?.includes(id)) return [{ finishReason: "stop" }];
  ids.push(id);
  constrained?.accept(id);
  const token = topScores === undefined ? { id } : { id, scores: scoreToken(logits, id, topScores) };
  if (constrained?.isOver) return [token, { finishReason: "stop" }];
  if (answerLength(text) === maxNewTokens) return [token, { finishReason: "length" }];
  return ids.length > config.contextLength ? [token, { finishReason: "context" }] : [token];
}

function noToken(text: Text): InputError {
  const problem =
    "no token of the vocabulary may follow under its constraint: give it more tokens, or another constraint";
  return new InputError(`Cannot go on with ${nameOf(text)}`, problem);
}

/** The first logit that is not finite, or -1. */
function firstBad(logits: Float32Array): number {
  for (let id = 0; id < logits.length; id++) if (!Number.isFinite(logits[id])) return id;
  return -1;
}
