/** What a token adds to a text behind others, in bytes: a token may be a part of a character. */
import type { Node } from "../pipeline/pre_tokenize.ts";
import { bytesOfLetters } from "./byte_letters.ts";
import { fallbackByte, textOfToken } from "./steps.ts";

type BytesOfToken = (token: string) => Uint8Array;

const encoder = new TextEncoder();

/** Returns what says the bytes of a token, or undefined if they depend on the tokens beside it. */
export function createTokenBytes(steps: readonly Node[]): BytesOfToken | undefined {
  const fused = steps.findIndex(({ type }) => type === "Fuse" || type === "ByteLevel");
  const behind = fused < 0 ? [] : steps.slice(fused + 1);
  if (!behind.every((step) => joins(step) || isOfOneCharacter(step))) return undefined;
  const kept = steps.filter((step) => !(step["type"] === "Fuse" || (behind.includes(step) && joins(step))));
  const bytesAt = kept.findIndex(({ type }) => type === "ByteLevel" || type === "ByteFallback");
  const before = bytesAt < 0 ? kept : kept.slice(0, bytesAt);
  const changes = before.map(textOfToken);
  if (kept.length > before.length + 1 || changes.includes(undefined)) return undefined;
  const last = bytesAt < 0 ? undefined : kept[bytesAt]?.["type"];
  return (token) => {
    const text = changes.reduce((changed, change) => change?.(changed) ?? changed, token);
    if (last === "ByteLevel") return Uint8Array.from(bytesOfLetters(text));
    const byte = last === "ByteFallback" ? fallbackByte(text) : undefined;
    return byte === undefined ? encoder.encode(text) : Uint8Array.of(byte);
  };
}

/** Joins tokens, or strips the start of what is joined: behind other tokens nothing changes. */
function joins({ type, stop = 0 }: Node): boolean {
  return type === "Fuse" || (type === "Strip" && stop === 0);
}

/** Changes a joined text character by character, as it would change the tokens. */
function isOfOneCharacter({ type, pattern }: Node): boolean {
  const replaced = (pattern as Node | undefined)?.["String"];
  return (
    type === "Metaspace" || (type === "Replace" && typeof replaced === "string" && Array.from(replaced).length === 1)
  );
}
