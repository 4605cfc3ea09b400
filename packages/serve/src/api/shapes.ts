/** What requests may hold: the types say what a field means, the shapes beside them what values it takes. */
import { MAX_TEMPERATURE, MAX_TOKENS, MAX_VOCABULARY } from "@zerogate/run-config";
import * as z from "zod";

/** How an answer is made, in both kinds of completions. */
export interface SamplingBody {
  /** The base's name or an adapter's. */
  readonly model: string;
  /** 0 takes the most likely token. */
  readonly temperature: number;
  readonly top_p: number;
  /** 0 and -1 keep all tokens. */
  readonly top_k: number;
  readonly min_p: number;
  readonly repetition_penalty: number;
  readonly presence_penalty: number;
  readonly frequency_penalty: number;
  /** By token ids. */
  readonly logit_bias: Readonly<Record<string, number>>;
  /** Texts that end an answer and are not sent; one or a list. */
  readonly stop: readonly string[];
  /** Tokens that do. */
  readonly stop_token_ids: readonly number[];
  /** Of the first answer; the next ones count up from it. */
  readonly seed?: number | undefined;
  /** Answers to each prompt. */
  readonly n: number;
  /** As many as `n`, or absent. */
  readonly best_of?: number | undefined;
  /** End tokens end nothing. */
  readonly ignore_eos: boolean;
  readonly stream: boolean;
  readonly stream_options: { readonly include_usage?: boolean | null | undefined };
  /** Seconds. */
  readonly timeout?: number | undefined;
  /** How much of the adapter: 0 is the base, 1 the adapter. */
  readonly adapter_scale: number;
}

/** Body of `POST /v1/completions`. */
export interface CompletionBody extends SamplingBody {
  /** A text, texts, tokens, or lists of tokens. */
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly max_tokens: number;
  /** The prompt stands before its answer, with scores if there are `logprobs`. */
  readonly echo: boolean;
  /** Each token comes with its log-probability and those of this many most likely ones. */
  readonly logprobs?: number | undefined;
  /** Puts in front of texts what the tokenizer, or the adapter's training, puts there. */
  readonly add_special_tokens: boolean;
}

/** A part of a message. */
type MessagePart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "refusal"; readonly refusal: string };

/** A message of a chat. */
export interface ChatBodyMessage {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool";
  readonly content?: string | readonly MessagePart[] | null | undefined;
  readonly [field: string]: unknown;
}

/** Body of `POST /v1/chat/completions`. */
export interface ChatBody extends SamplingBody {
  readonly messages: readonly ChatBodyMessage[];
  /** The older name of `max_completion_tokens`. */
  readonly max_tokens?: number | undefined;
  /** @default up to the end of the context */
  readonly max_completion_tokens?: number | undefined;
  readonly logprobs: boolean;
  readonly top_logprobs?: number | undefined;
  readonly response_format?: ResponseFormat | undefined;
}

/** What an answer must be: text, json_object, or json_schema. */
export interface ResponseFormat {
  readonly type: string;
  readonly json_schema?: { readonly schema?: unknown } | undefined;
}

/** Body of `POST /tokenize`. */
export interface TokenizeBody {
  readonly model?: string | undefined;
  readonly prompt: string;
  readonly add_special_tokens: boolean;
}

/** Body of `POST /detokenize`. */
export interface DetokenizeBody {
  readonly model?: string | undefined;
  readonly tokens: readonly number[];
}

/** A body that a route takes. */
export interface BodyShape<Body> {
  readonly schema: z.ZodType<Body>;
  /** Names of its fields. */
  readonly fields: ReadonlySet<string>;
}

/** A body with these fields and others, which are looked at elsewhere. */
function shapeOf<Fields extends z.ZodRawShape>(
  fields: Fields,
): BodyShape<z.output<z.ZodObject<Fields, z.core.$loose>>> {
  return { schema: z.looseObject(fields), fields: new Set(Object.keys(fields)) };
}

const share = z.number().min(0).max(1);
const count = z.int().min(0);
const ids = z.array(count).min(1);
const stopText = z.string().min(1).max(256);

/** Answers to one prompt. */
const MAX_CHOICES = 8;
/** Most likely tokens that come with each token. */
const MAX_TOP_LOGPROBS = 20;
const MAX_MESSAGES = 2048;

const sampling = {
  model: z.string().min(1).max(256),
  temperature: z.number().min(0).max(MAX_TEMPERATURE).default(1),
  top_p: share.default(1),
  top_k: z.int().min(-1).max(MAX_VOCABULARY).default(0),
  min_p: share.default(0),
  repetition_penalty: z.number().positive().max(100).default(1),
  presence_penalty: z.number().min(-2).max(2).default(0),
  frequency_penalty: z.number().min(-2).max(2).default(0),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).default({}),
  stop: z
    .union([stopText, z.array(stopText).max(16)])
    .transform((stop) => (typeof stop === "string" ? [stop] : stop))
    .default([]),
  stop_token_ids: z.array(count).max(64).default([]),
  seed: z.int().optional(),
  n: z.int().min(1).max(MAX_CHOICES).default(1),
  best_of: z.int().min(1).max(MAX_CHOICES).optional(),
  ignore_eos: z.boolean().default(false),
  stream: z.boolean().default(false),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).default({}),
  timeout: z.number().positive().max(86_400).optional(),
  adapter_scale: share.default(1),
};

export const completionShape: BodyShape<CompletionBody> = shapeOf({
  ...sampling,
  prompt: z.union([z.string(), z.array(z.string()).min(1), ids, z.array(ids).min(1)]),
  max_tokens: count.max(MAX_TOKENS).default(16),
  echo: z.boolean().default(false),
  logprobs: count.max(MAX_TOP_LOGPROBS).optional(),
  add_special_tokens: z.boolean().default(true),
});

const textPart = z.looseObject({ type: z.literal("text"), text: z.string() });
const refusalPart = z.looseObject({ type: z.literal("refusal"), refusal: z.string() });

const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: z.union([z.string(), z.array(z.union([textPart, refusalPart]))]).nullish(),
});

export const chatShape: BodyShape<ChatBody> = shapeOf({
  ...sampling,
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  max_tokens: count.max(MAX_TOKENS).optional(),
  max_completion_tokens: count.max(MAX_TOKENS).optional(),
  logprobs: z.boolean().default(false),
  top_logprobs: count.max(MAX_TOP_LOGPROBS).optional(),
  response_format: z
    .looseObject({ type: z.string(), json_schema: z.looseObject({ schema: z.unknown() }).optional() })
    .optional(),
});

export const tokenizeShape: BodyShape<TokenizeBody> = shapeOf({
  model: z.string().optional(),
  prompt: z.string(),
  add_special_tokens: z.boolean().default(true),
});

export const detokenizeShape: BodyShape<DetokenizeBody> = shapeOf({
  model: z.string().optional(),
  tokens: z.array(count),
});

const adapterName = z.string().min(1).max(128);

/** Body of `POST /v1/adapters`. */
export const loadShape: BodyShape<{ readonly name: string; readonly path: string }> = shapeOf({
  name: adapterName,
  path: z.string().min(1).max(4096),
});
/** Body of `POST /v1/load_lora_adapter`, as vLLM has it. */
export const loadLoraShape: BodyShape<{ readonly lora_name: string; readonly lora_path: string }> = shapeOf({
  lora_name: adapterName,
  lora_path: z.string().min(1).max(4096),
});
/** Body of `POST /v1/unload_lora_adapter`. */
export const unloadLoraShape: BodyShape<{ readonly lora_name: string }> = shapeOf({ lora_name: adapterName });
