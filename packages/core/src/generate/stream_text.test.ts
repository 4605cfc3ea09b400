import { expect, test } from "vitest";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { generate } from "./generate.ts";
import { type Decoder, streamText } from "./stream_text.ts";
import type { FinishReason } from "./text.ts";

/** Every token is one byte of UTF-8, as in byte-fallback vocabularies. */
const byteDecoder: Decoder = { decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids)) };

/** Tokens are pieces of text; like sentencepiece, a leading space is dropped. */
function pieceDecoder(pieces: readonly string[]): Decoder {
  return {
    decode: (ids) =>
      ids
        .map((id) => pieces[id])
        .join("")
        .replace(/^ /, ""),
  };
}

async function* tokensOf(
  ids: Iterable<number>,
  reason: FinishReason = "length",
): AsyncGenerator<number, FinishReason, void> {
  yield* ids;
  return reason;
}

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];

async function collect(stream: ReturnType<typeof streamText>) {
  const parts: string[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done) return { parts, ...next.value };
    parts.push(next.value);
  }
}

test("characters of several bytes are handed out whole, and the parts joined are the text", async () => {
  const text = "naïve 日本 👩‍🚀!";
  const { parts, ...result } = await collect(streamText(tokensOf(bytesOf(text)), byteDecoder));
  expect(parts.join("")).toBe(text);
  expect(parts.some((part) => part.includes("\uFFFD"))).toBe(false);
  expect(parts).toContain("日");
  expect(result).toEqual({ finishReason: "length", ids: bytesOf(text), text });
});

test("bytes that never become a character come out at the end, as the decoder shows them", async () => {
  const ids = [...bytesOf("ok"), 0xe6, 0x97];
  const { parts, text } = await collect(streamText(tokensOf(ids, "eos"), byteDecoder));
  expect(parts).toEqual(["o", "k", "\uFFFD"]);
  expect(text).toBe("ok\uFFFD");
  const inside = await collect(streamText(tokensOf([0x61, 0xff, 0x62]), byteDecoder));
  expect(inside.parts.join("")).toBe("a\uFFFDb");
});

test.each<[stop: string[], text: string, expected: string]>([
  [["###"], "answer\n### Instruction", "answer\n"],
  [["###"], "a#b##c", "a#b##c"],
  [["###"], "a##", "a##"],
  [["aab"], "aaab", "a"],
  [["xyz", "bc"], "abcxyz", "a"],
  [["bcd", "abcz"], "xabcd", "xa"],
  [["stop"], "stop here", ""],
  [["é!"], "caféine é!x", "caféine "],
  [["日本"], "in 日本語", "in "],
  [["a日"], "xa日y", "x"],
  [["a日"], "xa月y", "xa月y"],
])("text ends before the first of %j in %j, and no piece of it is shown", async (stop, text, expected) => {
  const { parts, finishReason, ...result } = await collect(streamText(tokensOf(bytesOf(text)), byteDecoder, { stop }));
  expect(parts.join("")).toBe(expected);
  expect(result.text).toBe(expected);
  expect(finishReason).toBe(expected === text ? "length" : "stop");
});

test("a stop string may begin and end inside tokens", async () => {
  const decoder = pieceDecoder(["Hello", " wor", "ld.\n#", "##", "# x", " bye"]);
  const { parts, text } = await collect(streamText(tokensOf([0, 1, 2, 3, 4, 5]), decoder, { stop: ["\n###"] }));
  expect(parts).toEqual(["Hello", " wor", "ld."]);
  expect(text).toBe("Hello world.");
});

test.each([[["END", "STOP"]], [["STOP", "END"]]])(
  "of the stop strings %j in one token the first in the text counts [T-E6]",
  async (stop) => {
    const decoder = pieceDecoder(["one", " two STOP three END four"]);
    const { parts, text } = await collect(streamText(tokensOf([0, 1]), decoder, { stop }));
    expect(parts).toEqual(["one", " two "]);
    expect(text).toBe("one two ");
  },
);

test("a text that continues a prefix keeps the space at its start", async () => {
  const decoder = pieceDecoder([" Once", " upon", " a", " time"]);
  const alone = await collect(streamText(tokensOf([2, 3]), decoder));
  expect(alone.text).toBe("a time");
  const after = await collect(streamText(tokensOf([2, 3]), decoder, { prefix: [0, 1] }));
  expect(after.parts).toEqual([" a", " time"]);
  expect(after.text).toBe(" a time");
});

test("tokens are pulled one by one, and leaving early or finding a stop string ends their generation", async () => {
  let [pulled, ended] = [0, 0];
  async function* endless(): AsyncGenerator<number, FinishReason, void> {
    try {
      for (;;) {
        pulled++;
        yield 0x61;
      }
    } finally {
      ended++;
    }
  }
  for await (const _ of streamText(endless(), byteDecoder)) if (pulled === 3) break;
  expect([pulled, ended]).toEqual([3, 1]);
  pulled = 0;
  const { text } = await collect(streamText(endless(), byteDecoder, { stop: ["aaaa"] }));
  expect([pulled, ended, text]).toEqual([4, 2, ""]);
});

async function* failing(): AsyncGenerator<number, FinishReason, void> {
  yield 0x61;
  throw new Error("the worker is gone");
}

test("an error while generating reaches the reader", async () => {
  await expect(collect(streamText(failing(), byteDecoder))).rejects.toThrow("the worker is gone");
});

test("text of a real generation: the parts joined are the decoded ids", async () => {
  const { model, config } = tinyModel({ vocabSize: 256, eosTokenIds: [] });
  const tokens = generate(model, tinyAdapter(config), bytesOf("Hi"), { maxNewTokens: 40, temperature: 1.5, seed: 2 });
  const { parts, ids, text, finishReason } = await collect(streamText(tokens, byteDecoder));
  expect(ids).toHaveLength(40);
  expect(parts.join("")).toBe(byteDecoder.decode(ids));
  expect(text).toBe(byteDecoder.decode(ids));
  expect(finishReason).toBe("length");
});
