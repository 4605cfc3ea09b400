/**
 * The run receipt: loss and digests of parameters and moments of every step, each line chained to the one before it by SHA-256. It holds
 * nothing that may differ between two runs of the same inputs, so their receipts are equal byte for byte, even if one was interrupted.
 */
import { createHash } from "node:crypto";
import { parseStrictJson } from "@zerogate/core/formats";
import type { AdamWState } from "@zerogate/core/training";
import * as z from "zod";

const step = z.int().min(0);
const word = z.string().max(10_000);
interface RunHashes {
  readonly base: string;
  readonly data: string;
  readonly tokenizer: string;
  readonly plan: string;
}

/** `step` counts from 1: steps done. */
export type ReceiptBody =
  /** The first line: what the run is a function of, and the digest of its first parameters. */
  | {
      readonly event: "start";
      /** 1: of 0.1.0, whose steps have no digest of the moments. */
      readonly version: 1 | 2;
      readonly zerogate: string;
      readonly node: string;
      readonly engine: string;
      /** Name and commit of a base of the Hub: where it came from, which decides nothing. */
      readonly model?: string;
      readonly hashes: RunHashes;
      /** Over the keys of the config that decide bits. */
      readonly config: string;
      readonly params: string;
    }
  /** A step was taken: loss before it, parameters and moments after it. */
  | {
      readonly event: "step";
      readonly step: number;
      readonly loss: number;
      readonly params: string;
      readonly moments?: string;
    }
  /** A step was skipped because of bad numbers, its own or (rollback) those of a later one. */
  | { readonly event: "void"; readonly step: number; readonly reason: string }
  | { readonly event: "eval"; readonly step: number; readonly loss: number }
  /** A resume after `step` steps with something changed that decides bits. */
  | {
      readonly event: "accepted";
      readonly step: number;
      readonly field: string;
      readonly was: string;
      readonly is: string;
    }
  /** Lines up to `step` were lost; the checkpoint remembers where the chain stood. */
  | { readonly event: "gap"; readonly step: number; readonly before: string };

/** A line of receipt.jsonl, with the hash that links it to all lines before. */
export type ReceiptLine = ReceiptBody & { readonly chain: string };

const bodySchema: z.ZodType<ReceiptBody> = z.discriminatedUnion("event", [
  z.strictObject({
    event: z.literal("start"),
    version: z.literal([1, 2]),
    zerogate: word,
    node: word,
    engine: word,
    model: word.exactOptional(),
    hashes: z.strictObject({ base: word, data: word, tokenizer: word, plan: word }),
    config: word,
    params: word,
  }),
  z.strictObject({ event: z.literal("step"), step, loss: z.number(), params: word, moments: word.exactOptional() }),
  z.strictObject({ event: z.literal("void"), step, reason: word }),
  z.strictObject({ event: z.literal("eval"), step, loss: z.number() }),
  z.strictObject({ event: z.literal("accepted"), step, field: word, was: word, is: word }),
  z.strictObject({ event: z.literal("gap"), step, before: word }),
]);

/** Before the first line. */
const CHAIN_START = "0".repeat(64);

/** Returns the SHA-256 of the numbers' bytes, hexadecimal. */
export function paramsDigest(params: Float32Array): string {
  return createHash("sha256")
    .update(new Uint8Array(params.buffer, params.byteOffset, params.byteLength))
    .digest("hex");
}

/** SHA-256 over both moments as they lie in memory, m first, and the count of updates of each group as u64. */
export function momentsDigest({ m, v, t }: AdamWState): string {
  const counts = Buffer.alloc(8 * t.length);
  for (const [group, count] of t.entries()) counts.writeBigUInt64LE(BigInt(count), 8 * group);
  const hash = createHash("sha256");
  for (const part of [m, v]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return hash.update(counts).digest("hex");
}

/** The line that follows a chain, as text and with its own link. A gap goes on from the link that the checkpoint knew. */
export function chainLine(
  chain: string | undefined,
  body: ReceiptBody,
): { readonly text: string; readonly chain: string } {
  const content = JSON.stringify(body);
  const link = linkOf(chain, body, content);
  return { text: `${content.slice(0, -1)},"chain":"${link}"}\n`, chain: link };
}

/** The whole lines of a receipt, up to the first that is not linked to the one before. */
export interface ReadReceipt {
  readonly lines: readonly ReceiptLine[];
  /** Byte at which each line ends. */
  readonly ends: readonly number[];
  /** Why reading ended before the end of the file, if it did. */
  readonly problem: string | undefined;
  /** It is the last line that ends early: what a power cut may leave. */
  readonly isCutOff: boolean;
}

const CUT_OFF = "is cut off";

/** Reads lines as long as each is linked to the one before it. */
export function readReceipt(bytes: Uint8Array): ReadReceipt {
  const lines: ReceiptLine[] = [];
  const ends: number[] = [];
  let chain: string | undefined;
  let begin = 0;
  const broken = (what: string): ReadReceipt => ({
    lines,
    ends,
    problem: `line ${lines.length + 1} ${what}`,
    isCutOff: what === CUT_OFF,
  });
  while (begin < bytes.length) {
    const end = bytes.indexOf(10, begin) + 1;
    if (end === 0) return broken(CUT_OFF);
    const line = parseLine(new TextDecoder().decode(bytes.subarray(begin, end)));
    if (!line) return broken("is no line of a receipt");
    if (linkOf(chain, line.body, line.content) !== line.body.chain) return broken("is not linked to the one before");
    lines.push(line.body);
    ends.push(end);
    chain = line.body.chain;
    begin = end;
  }
  return { lines, ends, problem: undefined, isCutOff: false };
}

/** The hash is over a line's own text, independent of how a later version reads its fields. */
function parseLine(text: string): { readonly body: ReceiptLine; readonly content: string } | undefined {
  const [, open, chain] = /^(\{.*),"chain":"([0-9a-f]{64})"\}\n$/.exec(text) ?? [];
  if (open === undefined || chain === undefined) return undefined;
  try {
    const content = `${open}}`;
    return { body: { ...bodySchema.parse(parseStrictJson(content)), chain }, content };
  } catch {
    return undefined;
  }
}

function linkOf(chain: string | undefined, body: ReceiptBody, content: string): string {
  const before = body.event === "gap" ? body.before : (chain ?? CHAIN_START);
  return createHash("sha256").update(`${before}\n${content}`).digest("hex");
}
