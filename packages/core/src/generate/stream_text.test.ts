import { StringDecoder } from "node:string_decoder";
import fc from "fast-check";
import { expect, test } from "vitest";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import { generate } from "./generate.ts";
import { streamText } from "./stream_text.ts";
import type { FinishReason } from "./text.ts";
import { type Decoder, openTextStream } from "./text_stream.ts";

/** Every token is one byte of UTF-8, as in byte-fallback vocabularies. */
const byteDecoder: Decoder = {
  openDecoding() {
    const decoder = new StringDecoder("utf8");
    return { push: (id) => decoder.write(Buffer.of(id)), end: () => decoder.end() };
  },
};
const textOfBytes = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));

/** Tokens are pieces of text; like sentencepiece, a leading space is dropped. */
function pieceDecoder(pieces: readonly string[]): Decoder {
  return {
    openDecoding() {
      let isFirst = true;
      return {
        push(id) {
          const piece = pieces[id] ?? "";
          const text = isFirst ? piece.replace(/^ /, "") : piece;
          isFirst = false;
          return text;
        },
        end: () => "",
      };
    },
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
  expect(parts.join("")).toBe(textOfBytes(ids));
  expect(text).toBe(textOfBytes(ids));
  expect(finishReason).toBe("length");
});

test("each token takes the text behind the last stop string that may begin, however long the text is", () => {
  const asked: number[] = [];
  const decoder: Decoder = {
    openDecoding: () => ({
      push(id) {
        asked.push(id);
        return String.fromCharCode(id);
      },
      end: () => "",
    }),
  };
  const stream = openTextStream(decoder, { prefix: [1, 2, 3], stop: ["END"] });
  const ids = bytesOf("an ENormous tree E".repeat(50));
  for (const id of ids) stream.push(id);
  expect(asked).toEqual([1, 2, 3, ...ids]);
  expect(stream.end()).toEqual({ text: "E", isStopped: false });
});

test("of any text and any stop strings the parts are the text before the first stop string, and never a piece of it", () => {
  const unit = fc.constantFrom("a", "b", "é", "日", "😀");
  const texts = fc.string({ unit, maxLength: 30 });
  const stops = fc.array(fc.string({ unit, minLength: 1, maxLength: 4 }), { maxLength: 3 });
  fc.assert(
    fc.property(texts, stops, (text, stop) => {
      const stream = openTextStream(byteDecoder, { stop });
      const shown: string[] = [];
      let isStopped = false;
      for (const id of bytesOf(text)) {
        const part = stream.push(id);
        shown.push(part.text);
        isStopped = part.isStopped;
        if (isStopped) break;
      }
      if (!isStopped) shown.push(stream.end().text);
      // The first to be whole ends the text; of two that end together the longer one begins first.
      const ends = Array.from(text, (_, i) =>
        Array.from(text)
          .slice(0, i + 1)
          .join(""),
      );
      const seen = ends.find((start) => stop.some((s) => start.endsWith(s)));
      const longest = Math.max(0, ...stop.filter((s) => seen?.endsWith(s)).map((s) => s.length));
      expect(shown.join("")).toBe(seen === undefined ? text : seen.slice(0, seen.length - longest));
      expect(isStopped).toBe(seen !== undefined);
    }),
    { numRuns: 2_000 },
  );
});
