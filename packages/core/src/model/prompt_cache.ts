/**
 * Prompt keys and values of several adapters, kept between passes of inference: making them reads all key and value weights.
 * An entry counts only while the parameters are, number for number, those that it was made of. A cache that outlives a change of
 * them is litgpt's bug #1287, whose prompts never train; here training does not use the cache at all.
 */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { DecoderModel } from "./decoder.ts";
import { preparePrompts } from "./forward.ts";
import type { AdapterPrompts } from "./prompts.ts";

/** Prompts under one snapshot of the parameters. They live until `release`, even if the adapter changes. */
export interface PromptLease {
  readonly prompts: AdapterPrompts;
  /** Gives the prompts back; they stay in the cache. */
  release(): void;
}

/** Keys and values of prompts, kept for as long as an adapter's numbers stay the same. */
export interface PromptCache {
  /** The prompts of the adapter as it is now: those made before if nothing changed. */
  lease(adapter: AdapterState): Promise<PromptLease>;
  /** Forgets an adapter that will not be used again. */
  drop(adapter: AdapterState): void;
  /** Forgets all. What is leased lives on. */
  close(): void;
}

interface Entry {
  readonly prompts: AdapterPrompts;
  /** The parameters that the prompts were made of. */
  readonly params: Float32Array;
  users: number;
}

/**
 * Opens an empty cache of prompt keys and values for the adapters of a model. Close it when the model goes: it holds memory of the
 * engine.
 *
 * @example
 * const cache = openPromptCache(model);
 * cache.close();
 */
export function openPromptCache(model: DecoderModel): PromptCache {
  const { engine } = model;
  const entries = new Map<AdapterState, Entry>();

  /** Frees an entry that is neither in the cache nor leased. */
  function settle(adapter: AdapterState, entry: Entry): void {
    if (entry.users > 0 || entries.get(adapter) === entry) return;
    for (const { kv_KY } of entry.prompts.layers.values()) engine.free(kv_KY);
  }
  function drop(adapter: AdapterState): void {
    const entry = entries.get(adapter);
    entries.delete(adapter);
    if (entry) settle(adapter, entry);
  }
  /** Inside an arena, so that two users do not make the same entry twice. */
  function current(adapter: AdapterState): Entry {
    const found = entries.get(adapter);
    if (found && sameNumbers(found.params, adapter.params)) return found;
    drop(adapter);
    const params = adapter.params.slice(); // another thread may write to them meanwhile
    const prompts = preparePrompts(model, { ...adapter, params });
    for (const { kv_KY } of prompts.layers.values()) engine.keep(kv_KY);
    const entry = { prompts, params, users: 0 };
    entries.set(adapter, entry);
    return entry;
  }

  return {
    async lease(adapter) {
      const entry = await engine.arena(async () => {
        const made = current(adapter);
        made.users++;
        return made;
      });
      let isHeld = true;
      return {
        prompts: entry.prompts,
        release() {
          if (!isHeld) return;
          isHeld = false;
          entry.users--;
          settle(adapter, entry);
        },
      };
    },
    drop,
    close() {
      for (const adapter of entries.keys()) drop(adapter);
    },
  };
}

/**
 * Equal numbers; a NaN equals nothing. Compared two at a time as the float64 that they look like (0.7 ms for LLaMA-7B's 1.23
 * million): different bits are different float64s, the sign of a zero and NaNs apart.
 */
function sameNumbers(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  let i = 0;
  if (a.byteOffset % 8 === 0 && b.byteOffset % 8 === 0) {
    const [x, y] = [a, b].map(({ buffer, byteOffset, length }) => new Float64Array(buffer, byteOffset, length >> 1));
    for (let pair = 0; pair < x.length; pair++) if (x[pair] !== y[pair]) return false;
    i = 2 * x.length;
  }
  for (; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
