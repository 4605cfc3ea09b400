/** What the library answers by itself: a server must answer the same. */
import { type OpenedModel, openModel } from "@zerogate/trainer";
import type { Place } from "../../zerogate/test/here.ts";

/** Opens the base with the adapters `one` and `two` in this thread. */
export async function openAlone({ base, at }: Place): Promise<OpenedModel> {
  return await openModel({ model: base, adapters: [at("one"), at("two")], engine: "reference" });
}

/** How a text is continued. */
interface Continued {
  readonly adapter?: string;
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly seed?: number;
  readonly scale?: number;
}

/** The tokens that follow these, under an adapter or the base. */
export async function continued({ model, tokenizer }: OpenedModel, ids: readonly number[], how: Continued) {
  const { adapter = null, ...options } = how;
  const eosTokenIds = [...new Set([...model.base.config.eosTokenIds, tokenizer.eosId])];
  const found: number[] = [];
  for await (const event of model.generateBatch([{ ...options, promptIds: ids, adapter, eosTokenIds }])) {
    if ("id" in event) found.push(event.id);
  }
  return found;
}
