/** Fields of requests besides those that are honoured: what is refused and why, what does not matter. */
import { badRequest } from "../http/api_error.ts";

type Body = Readonly<Record<string, unknown>>;

/** A field that would change the answer. */
interface Refused {
  /** Values that change nothing. */
  readonly harmless?: readonly unknown[];
  readonly advice: string;
}

const NO_TOOLS = "tools are not supported: describe them in a message";
const STRUCTURED = "use response_format";
const SAMPLING = "use temperature, top_p, top_k or min_p";

/** What both kinds of completions refuse. An empty list, 0, "" and false, unless true is what is done anyway, ask for nothing. */
const refusedFields: Readonly<Record<string, Refused>> = {
  tools: { advice: NO_TOOLS },
  tool_choice: { harmless: ["none", "auto"], advice: NO_TOOLS },
  functions: { advice: NO_TOOLS },
  function_call: { harmless: ["none", "auto"], advice: NO_TOOLS },
  audio: { advice: "answers are text" },
  modalities: { harmless: [["text"]], advice: "answers are text" },
  web_search_options: { advice: "the model answers by itself" },
  suffix: { advice: "put all of the text before the answer into prompt" },
  guided_json: { advice: STRUCTURED },
  guided_regex: { advice: STRUCTURED },
  guided_choice: { advice: STRUCTURED },
  guided_grammar: { advice: STRUCTURED },
  structured_outputs: { advice: STRUCTURED },
  grammar: { advice: STRUCTURED },
  json_schema: { advice: STRUCTURED },
  use_beam_search: { advice: "ask for several answers with n" },
  length_penalty: { harmless: [1], advice: "it belongs to beam search" },
  min_tokens: { advice: "use ignore_eos with max_tokens" },
  prompt_logprobs: { advice: "use echo with logprobs" },
  skip_special_tokens: { harmless: [true], advice: "special tokens are left out of texts" },
  include_stop_str_in_output: { advice: "an answer ends before its stop text" },
  truncate_prompt_tokens: { advice: "shorten the prompt" },
  allowed_token_ids: { advice: "use logit_bias" },
  bad_words: { advice: "use logit_bias" },
  typical_p: { harmless: [1], advice: SAMPLING },
  tfs_z: { harmless: [1], advice: SAMPLING },
  top_a: { advice: SAMPLING },
  mirostat: { advice: SAMPLING },
  dry_multiplier: { advice: "use repetition_penalty" },
  xtc_probability: { advice: SAMPLING },
  dynatemp_range: { advice: SAMPLING },
  chat_template: { advice: "start the server with --template FILE" },
  chat_template_kwargs: { advice: "start the server with --template FILE" },
  documents: { advice: "put them into a message" },
  continue_final_message: { advice: "use /v1/completions" },
  add_generation_prompt: { harmless: [true], advice: "use /v1/completions" },
  prompt_embeds: { advice: "send a prompt" },
  logits_processors: { advice: "use logit_bias" },
};

/** Known, and without a meaning here. */
const harmlessFields: ReadonlySet<string> = new Set([
  "user",
  "metadata",
  "store",
  "service_tier",
  "parallel_tool_calls",
  "prediction",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "priority",
  "request_id",
  "detokenize",
  "spaces_between_special_tokens",
  "return_token_ids",
  "cache_prompt",
]);

/** Returns the body without fields that are null, which mean what absent ones do. */
export function withoutNulls(body: Body): Body {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

/**
 * Returns the names of fields that are not known.
 * @param known Those that the request honours.
 * @throws ApiError 400 for one that would change the answer.
 */
export function unknownFields(body: Body, known: ReadonlySet<string>): string[] {
  const unknown: string[] = [];
  for (const [field, value] of Object.entries(body)) {
    if (known.has(field) || harmlessFields.has(field)) continue;
    const refused = Object.hasOwn(refusedFields, field) ? refusedFields[field] : undefined;
    if (!refused) unknown.push(field);
    else if (!asksNothing(value, refused))
      throw badRequest(`Cannot use ${field}: ${refused.advice}`, field, "unsupported");
  }
  return unknown;
}

/** Names of fields as a header may hold them. */
export function namesForHeader(names: readonly string[]): string {
  const shown = names.slice(0, 20).map((name) => name.slice(0, 64).replaceAll(/[^\w.-]/g, "?"));
  return shown.join(", ");
}

function asksNothing(value: unknown, { harmless = [] }: Refused): boolean {
  const isOff = value === false && !harmless.includes(true);
  const isEmpty = isOff || value === 0 || value === "" || (Array.isArray(value) && value.length === 0);
  return isEmpty || harmless.some((one) => JSON.stringify(one) === JSON.stringify(value));
}
