/** The `tokenizer.model` of SentencePiece whose pieces are in a GGUF file, to be read as any other. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Fail } from "../tokenizer_parts.ts";
import { type GgufVocabulary, tokenTypes } from "./vocabulary.ts";

const BPE = 2;

/**
 * Pieces of spaces alone are written as spaces in GGUF files, and as "▁" in SentencePiece's. What the file does not say is as llama.cpp
 * has it: a space goes in front of texts, and none is taken away.
 */
export function sentencePieceModel(vocabulary: GgufVocabulary, fail: Fail): Uint8Array {
  const { tokens, types, scores, idOf, flag, charsmap } = vocabulary;
  if (types.length === 0 || scores.length === 0) {
    throw fail("tokenizer.ggml.token_type or scores is missing: name the folder of the tokenizer with --tokenizer");
  }
  const writer = new BinaryWriter();
  for (const [id, token] of tokens.entries()) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(/^ +$/.test(token) ? "▁".repeat(token.length) : token);
    writer.tag(2, WireType.Bit32).float(scores[id] ?? 0);
    writer.tag(3, WireType.Varint).int32(types[id] ?? tokenTypes.normal);
    writer.join();
  }
  const piece = (name: string) => tokens[idOf(name) ?? -1] ?? "";
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(3, WireType.Varint).int32(BPE);
  writer.tag(35, WireType.Varint).bool(types.includes(tokenTypes.byte));
  writer.tag(46, WireType.LengthDelimited).string(piece("bos"));
  writer.tag(47, WireType.LengthDelimited).string(piece("eos"));
  writer.join();
  writer.tag(3, WireType.LengthDelimited).fork();
  if (charsmap) writer.tag(2, WireType.LengthDelimited).bytes(charsmap);
  writer.tag(3, WireType.Varint).bool(flag("add_space_prefix") ?? true);
  writer.tag(4, WireType.Varint).bool(flag("remove_extra_whitespaces") ?? false);
  writer.tag(5, WireType.Varint).bool(true);
  writer.join();
  return writer.finish();
}
