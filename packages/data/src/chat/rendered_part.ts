/** Some records as they are encoded: under a template of chats their texts, without the chats that it refuses. */
import { InputError, isChatTemplate, type Template } from "@zerogate/core";
import type { InstructionRecord } from "../record.ts";
import { addProblem, describeProblems, type Place, type ProblemList } from "../record_problems.ts";
import type { EncodedChunk } from "../token_set.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { rendererOf } from "./encode.ts";
import { type DataRecord, isChat } from "./record.ts";
import type { RenderedChat } from "./spans.ts";

/** Records that can be encoded, and why others cannot, by their index among all. */
export interface RenderedPart {
  readonly records: readonly (InstructionRecord | RenderedChat)[];
  readonly refused: ReadonlyMap<number, string>;
}

/** @throws InputError for chats under a template of instructions, or if the template cannot be used. */
export async function renderPart(
  records: readonly DataRecord[],
  { template, tokenizer }: { readonly template: Template; readonly tokenizer: Tokenizer },
): Promise<RenderedPart> {
  if (!isChatTemplate(template))
    return { records: records.map((record) => instructionOf(record, template)), refused: new Map() };
  const refused = new Map<number, string>();
  const written: RenderedChat[] = [];
  for (const [i, chat] of (await rendererOf(template, tokenizer).render(records)).entries()) {
    if ("refused" in chat) refused.set(i, chat.refused);
    else written.push(chat);
  }
  return { records: written, refused };
}

function instructionOf(record: DataRecord, { name }: Template): InstructionRecord {
  if (!isChat(record)) return record;
  const problem = `"${name}" writes instructions: use --template chat, or a file in Jinja`;
  throw new InputError("Cannot write chats with this template", problem);
}

/** Puts refused records back among the others of a chunk, as records without tokens. */
export function withRefused(chunk: EncodedChunk, size: number, refused: RenderedPart["refused"]): EncodedChunk {
  if (refused.size === 0) return chunk;
  const lengths = new Int32Array(size);
  let next = 0;
  for (let i = 0; i < size; i++) if (!refused.has(i)) lengths[i] = chunk.lengths[next++] ?? 0;
  return { ...chunk, lengths, refused: [...refused.keys()] };
}

/** Adds the refused records of a part to a list, with the places where they stand. */
export function addRefused(
  list: ProblemList,
  refused: RenderedPart["refused"],
  places: readonly Place[],
  { name }: Template,
): void {
  for (const [i, reason] of refused) {
    const fault = {
      found: `a chat of which the template "${name}" says: ${reason}`,
      expected: "a chat that it writes",
    };
    addProblem(list, places[i] ?? { file: "data", index: i }, { ...fault, kind: reason });
  }
}

/**
 * The error that refuses data because the template refuses some of the first `seen` records.
 *
 * @param total undefined if there may be more of them
 */
export function refusedError(list: ProblemList, seen: number, total: number | undefined): InputError {
  const of = total === seen ? `${total}` : `the first ${seen}${total === undefined ? "" : ` of ${total}`}`;
  return new InputError(
    `Cannot use ${list.bad} of ${of} records (skip bad records to leave such out)`,
    describeProblems(list),
  );
}
