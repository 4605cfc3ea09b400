/** JSON of the Hub, within limits, asked again if it failed by chance. */

import { parseStrictJson } from "@zerogate/core/formats";
import { InputError } from "@zerogate/core/light";
import type * as z from "zod";
import { problemOf, textOf } from "./answer_problem.ts";
import type { Hub, HubAnswer } from "./hub.ts";
import { failureOf, HubFailure } from "./hub_failure.ts";
import { openPatience } from "./patience.ts";
import type { RepoName } from "./repo_name.ts";

/** A page of a listing has some 300 kB, a repository of 100,000 files 7 MB. */
const MAX_JSON_BYTES = 32 * 2 ** 20;
/** For an answer in drops. */
const WHOLE_MS = 120_000;

/** What is asked, and of which repository. */
export interface JsonRequest<T> {
  readonly path: string;
  readonly schema: z.ZodType<T>;
  readonly name: RepoName;
  /** Begins messages, for example `Cannot download Qwen/Qwen3-0.6B`. */
  readonly attempt: string;
  readonly signal: AbortSignal;
}

/** An answer in JSON, and the address of the next page if it has one. */
export interface JsonAnswer<T> {
  readonly value: T;
  readonly next: string | undefined;
}

/** @throws InputError for what the Hub refuses, an Error for what fails. */
export async function askJson<T>(hub: Hub, asked: JsonRequest<T>): Promise<JsonAnswer<T>> {
  const patience = openPatience(hub, asked.attempt, asked.signal);
  for (;;) {
    try {
      return await askOnce(hub, asked);
    } catch (error) {
      await patience.after(error);
    }
  }
}

async function askOnce<T>(hub: Hub, { path, schema, name, attempt, signal }: JsonRequest<T>): Promise<JsonAnswer<T>> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(WHOLE_MS)]);
  const answer = await hub.ask(path, { headers: { accept: "application/json" }, signal: limit }).catch(late(signal));
  if (answer.status !== 200) {
    await answer.drop();
    throw problemOf(attempt, name, hub, answer);
  }
  const bytes = await readBytes(answer, MAX_JSON_BYTES, new URL(hub.endpoint)).catch(late(signal));
  let value: unknown;
  try {
    value = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new HubFailure(`${hub.endpoint} answers with what is no JSON: is it a Hub (HF_ENDPOINT)`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { value: parsed.data, next: nextPage(textOfLink(answer), hub) };
  const at = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new InputError(
    attempt,
    `the answer of ${hub.endpoint} has no usable ${at === "" ? "content" : at}: is it a Hub`,
  );
}

/** The limit of the whole answer is a passing failure; the user's own end stays what it is. */
const late = (signal: AbortSignal) => (error: unknown) => {
  if (!signal.aborted && error instanceof Error && error.name === "TimeoutError") {
    throw new HubFailure(`the Hub did not answer within ${WHOLE_MS / 1000} s`, { isPassing: true });
  }
  throw error;
};

/** Reads a body of limited size. @throws HubFailure if it is longer, or ends early. */
async function readBytes({ body, drop }: HubAnswer, maxBytes: number, from: URL): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof Error && (cause.name === "TimeoutError" || cause.name === "AbortError")) throw cause;
    throw failureOf(cause, from);
  }
  if (bytes <= maxBytes) return Buffer.concat(chunks);
  await drop();
  throw new HubFailure(`${from.host} answers with more than ${maxBytes} bytes, which are not read`);
}

const textOfLink = ({ headers }: HubAnswer): string => {
  const { link } = headers;
  return typeof link === "string" && link.length < 10_000 ? link : textOf(link);
};

/** `Link: <ADDRESS>; rel="next"`. Another host is not asked. */
function nextPage(link: string, hub: Hub): string | undefined {
  const [, address] = /<([^<>]+)>\s*;\s*rel="?next"?/.exec(link) ?? [];
  if (address === undefined || !URL.canParse(address, hub.endpoint)) return undefined;
  const next = new URL(address, hub.endpoint);
  if (next.origin === new URL(hub.endpoint).origin) return next.href;
  throw new HubFailure(`the listing goes on at ${next.host}, which is not the Hub`);
}
