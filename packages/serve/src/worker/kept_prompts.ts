/** Prompts of adapters on the device: those that texts use, and of the others as many as were used last. */
import type { AdapterState, PromptCache } from "@zerogate/core";

/** Keeps the prompts of at most `most` adapters in `cache`; what texts lease lives on beside them. */
export function keepingPrompts(cache: PromptCache, most: number): PromptCache {
  const recent = new Set<AdapterState>();

  return {
    async lease(adapter) {
      recent.delete(adapter);
      recent.add(adapter);
      for (const oldest of recent) {
        if (recent.size <= most) break;
        recent.delete(oldest);
        cache.drop(oldest);
      }
      return await cache.lease(adapter);
    },
    drop(adapter) {
      recent.delete(adapter);
      cache.drop(adapter);
    },
    close() {
      recent.clear();
      cache.close();
    },
  };
}
