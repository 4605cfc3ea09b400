/** Worker thread of `tokenizeRecords`: builds the tokenizer once, then encodes chunk after chunk. */
import { encodeError } from "@zerogate/core/training";
import { workerData } from "piscina";
import type { RenderedChat } from "./chat/spans.ts";
import type { ChunkReply, TokenizeWorkerData } from "./encode_records.ts";
import { encodeChunk } from "./encode_sample.ts";
import type { InstructionRecord } from "./record.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

const { files, format } = workerData as TokenizeWorkerData;
let tokenizer: Tokenizer | undefined;

export function encode(records: readonly (InstructionRecord | RenderedChat)[]): ChunkReply {
  try {
    tokenizer ??= createTokenizer(files);
    return { chunk: encodeChunk(tokenizer, format, records) };
  } catch (error) {
    return { error: encodeError(error) };
  }
}
