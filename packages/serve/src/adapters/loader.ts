/** Loading, replacing and unloading adapters while texts are answered. */
import { realpath } from "node:fs/promises";
import { sep } from "node:path";
import { InputError } from "@zerogate/core";
import type { ServedBase } from "../base/served_base.ts";
import { ApiError, badRequest } from "../http/api_error.ts";
import type { TextPool } from "../replicas/pool.ts";
import { type ReadRules, readServedAdapter } from "./read_adapter.ts";
import type { AdapterRegistry, ServedAdapter } from "./registry.ts";

/** Which changes requests may ask for. */
export interface ChangeRules {
  /** Adapters may be loaded and unloaded by requests. */
  readonly allowAdapterChanges: boolean;
  /** The folder inside which adapters that requests name must lie. */
  readonly adapterDir: string | undefined;
}

/** Changes which adapters are served. */
export interface AdapterLoader {
  /** Registers an adapter at the start; its prompts are made with its first text. */
  register(name: string, folder: string): Promise<ServedAdapter>;
  /**
   * Loads an adapter for a request, and gives it the name once its prompts are made. What had the name before keeps it until then.
   * @throws ApiError 403 if that is not allowed, 400 for what cannot be used.
   */
  load(name: string, path: string): Promise<{ readonly adapter: ServedAdapter; readonly isNew: boolean }>;
  /** @throws ApiError 403 if that is not allowed, 404 for a name that nothing has. */
  unload(name: string): void;
}

/** Names are parts of addresses and of lines in logs. */
const NAME = /^[\w][\w.:@/+-]{0,127}$/;

export function openLoader(
  base: ServedBase,
  registry: AdapterRegistry,
  pool: Pick<TextPool, "prepare">,
  rules: ReadRules & ChangeRules,
  onWarning: (message: string) => void,
): AdapterLoader {
  function checkName(name: string): void {
    const attempt = `Cannot serve an adapter as "${name}"`;
    if (!NAME.test(name)) throw new InputError(attempt, "a name has letters, digits and . _ : @ / + -, 128 at most");
    if (name === base.name) throw new InputError(attempt, "the base has this name, choose another");
  }
  function checkAllowed(): void {
    if (rules.allowAdapterChanges) return;
    const message = "Cannot change adapters: the server was started without --allow-adapter-changes";
    throw new ApiError(403, message, { type: "permission_error" });
  }
  /** The real path of a folder that a request names. */
  async function insideOf(path: string): Promise<string> {
    const attempt = "Cannot load the adapter";
    if (rules.adapterDir === undefined) {
      throw new ApiError(403, `${attempt}: no folder is open to requests, start the server with --adapter-dir DIR`, {
        type: "permission_error",
      });
    }
    const root = await realpath(rules.adapterDir);
    const outside = badRequest(`${attempt}: its path must lead to a folder inside --adapter-dir`, "path");
    if (path.includes("\0")) throw outside;
    const found = await realpath(path.startsWith(sep) ? path : `${root}${sep}${path}`).catch(() => {
      throw outside;
    });
    if (!found.startsWith(`${root}${sep}`)) throw outside;
    return found;
  }
  const read = async (name: string, folder: string) =>
    registry.create(name, await readServedAdapter(folder, base, rules, onWarning));

  return {
    async register(name, folder) {
      checkName(name);
      if (registry.get(name)) throw new InputError(`Cannot serve an adapter as "${name}"`, "another one has this name");
      const adapter = await read(name, folder);
      registry.put(adapter);
      return adapter;
    },
    async load(name, path) {
      checkAllowed();
      checkName(name);
      const adapter = await read(name, await insideOf(path));
      const isNew = registry.get(name) === undefined;
      const release = registry.lease(adapter);
      try {
        await pool.prepare(adapter);
        registry.put(adapter);
      } finally {
        release();
      }
      return { adapter, isNew };
    },
    unload(name) {
      checkAllowed();
      if (!registry.remove(name))
        throw new ApiError(404, `Cannot unload "${name}": no adapter has this name`, { code: "model_not_found" });
    },
  };
}
