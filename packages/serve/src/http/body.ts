/** Bodies of requests: JSON of a limited size and depth. */
import type { IncomingMessage } from "node:http";
import { parseStrictJson } from "@zerogate/core/formats";
import { ApiError, badRequest } from "./api_error.ts";

/** No request of the API is nested as deep, JSON Schemas included. */
const MAX_DEPTH = 32;

/**
 * Reads a body and parses it. @throws ApiError 413 if it is too large, 415 if it is no JSON by its header, 400 if it is not JSON.
 */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const type = request.headers["content-type"] ?? "application/json";
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(type))
    throw new ApiError(415, `Cannot read the body: its type is ${type}, send content-type: application/json`);
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    throw new ApiError(415, `Cannot read the body: it is encoded as ${encoding}, send it as it is`);
  const bytes = await readBytes(request, maxBytes);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("Cannot read the body: it is not UTF-8");
  }
  if (isDeeper(text, MAX_DEPTH)) throw badRequest(`Cannot read the body: it is nested more than ${MAX_DEPTH} deep`);
  try {
    return parseStrictJson(text);
  } catch (cause) {
    throw badRequest(`Cannot read the body: it is not JSON (${(cause as Error).message})`);
  }
}

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw tooLarge(announced, maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(size, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(size: number, maxBytes: number): ApiError {
  const message = `Cannot read the body: it has ${size} bytes or more, at most ${maxBytes} are taken (--max-body)`;
  return new ApiError(413, message, { headers: { connection: "close" } });
}

/** Whether brackets outside of texts are open deeper than this. */
function isDeeper(json: string, most: number): boolean {
  let depth = 0;
  let isText = false;
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (isText) {
      if (character === "\\") i++;
      else if (character === '"') isText = false;
    } else if (character === '"') isText = true;
    else if (character === "[" || character === "{") {
      if (++depth > most) return true;
    } else if (character === "]" || character === "}") depth--;
  }
  return false;
}
