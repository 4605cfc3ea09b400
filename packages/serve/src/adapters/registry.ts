/**
 * Adapters by name. One that is replaced lives on until the last text that was asked of it has ended; what was made of its prompts
 * belongs to its numbers and never to its name.
 */
import type { PoolAdapter } from "../replicas/pool_text.ts";
import type { ReadAdapter } from "./read_adapter.ts";

/** An adapter under a name. */
export interface ServedAdapter extends ReadAdapter, PoolAdapter {
  readonly name: string;
  /** Seconds since 1970. */
  readonly created: number;
}

/** Adapters that requests can name. */
export interface AdapterRegistry {
  readonly all: readonly ServedAdapter[];
  get(name: string): ServedAdapter | undefined;
  /** Numbers an adapter without giving it its name yet. */
  create(name: string, read: ReadAdapter): ServedAdapter;
  /** Puts it in the place of what had its name. */
  put(adapter: ServedAdapter): void;
  /** Takes a name away; false if nothing has it. */
  remove(name: string): boolean;
  /** Keeps an adapter until the returned function is called. */
  lease(adapter: ServedAdapter): () => void;
}

/** @param onDrop Called with an adapter that nothing uses any more. */
export function openRegistry(onDrop: (adapter: ServedAdapter) => void): AdapterRegistry {
  const byName = new Map<string, ServedAdapter>();
  const users = new Map<ServedAdapter, number>();
  let numbers = 0;

  function settle(adapter: ServedAdapter): void {
    if ((users.get(adapter) ?? 0) > 0 || byName.get(adapter.name) === adapter) return;
    users.delete(adapter);
    onDrop(adapter);
  }

  return {
    get all() {
      return [...byName.values()];
    },
    get: (name) => byName.get(name),
    create: (name, read) => ({ ...read, name, number: numbers++, created: Math.floor(Date.now() / 1000) }),
    put(adapter) {
      const before = byName.get(adapter.name);
      byName.set(adapter.name, adapter);
      if (before) settle(before);
    },
    remove(name) {
      const adapter = byName.get(name);
      byName.delete(name);
      if (adapter) settle(adapter);
      return adapter !== undefined;
    },
    lease(adapter) {
      users.set(adapter, (users.get(adapter) ?? 0) + 1);
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        users.set(adapter, (users.get(adapter) ?? 1) - 1);
        settle(adapter);
      };
    },
  };
}
