/** `response_format`: answers that are JSON, any object or the values of a schema. */
import { constrainTo, isZerogateError, jsonGrammar, type TokenTrie } from "@zerogate/core";
import { badRequest } from "../http/api_error.ts";
import type { ResponseFormat } from "./shapes.ts";

/** A schema that an answer follows. */
export interface AnswerSchema {
  readonly schema: unknown;
  /** The most tokens of its shortest value. */
  readonly leastTokens: number;
}

const FIELD = "response_format";

/** Returns the schema that a request asks for; undefined for plain text. @throws ApiError 400 for a schema that cannot be followed. */
export function answerSchema(format: ResponseFormat | undefined, trie: TokenTrie): AnswerSchema | undefined {
  if (format === undefined || format.type === "text") return undefined;
  const schema = format.type === "json_object" ? { type: "object" } : format.json_schema?.schema;
  if (format.type !== "json_object" && format.type !== "json_schema") {
    const found = `its type is ${JSON.stringify(format.type)}`;
    throw badRequest(`Cannot use ${FIELD}: ${found}, use text, json_object or json_schema`, FIELD, "unsupported");
  }
  if (schema === undefined)
    throw badRequest(`Cannot use ${FIELD}: json_schema has no schema, give {"json_schema": {"schema": …}}`, FIELD);
  try {
    return { schema, leastTokens: constrainTo(jsonGrammar(schema), trie).leastTokens };
  } catch (error) {
    if (isZerogateError(error, "input")) throw badRequest(error.message, FIELD, "unsupported");
    throw error;
  }
}
