/** What requests are answered with: the base, the adapters, the workers. */

import type { AdapterLoader } from "../adapters/loader.ts";
import type { AdapterRegistry, ServedAdapter } from "../adapters/registry.ts";
import type { ServedBase } from "../base/served_base.ts";
import { ApiError } from "../http/api_error.ts";
import type { ServerMetrics } from "../metrics/server_metrics.ts";
import type { TextPool } from "../replicas/pool.ts";

/** A model that is loaded. */
export interface Served {
  readonly base: ServedBase;
  readonly adapters: AdapterRegistry;
  readonly loader: AdapterLoader;
  readonly pool: TextPool;
  readonly metrics: ServerMetrics;
  readonly settings: ServedSettings;
}

/** Settings that handlers look at. */
interface ServedSettings {
  /** Whether texts have the same bits in any batch. */
  readonly isBatchInvariant: boolean;
  /** Milliseconds that a request may take. @default no limit */
  readonly requestTimeoutMs: number | undefined;
}

/** What a request names as `model`. */
export interface Target {
  readonly name: string;
  /** Undefined: the base alone. */
  readonly adapter: ServedAdapter | undefined;
}

/** Returns the base or the adapter of this name. @throws ApiError 404 for another name, which is never the base instead. */
export function targetOf({ base, adapters }: Pick<Served, "base" | "adapters">, name: string): Target {
  if (name === base.name) return { name, adapter: undefined };
  const adapter = adapters.get(name);
  if (adapter) return { name, adapter };
  const known = [base.name, ...adapters.all.map((one) => one.name)];
  const shown = known.length > 20 ? [...known.slice(0, 20), `${known.length - 20} more`] : known;
  throw new ApiError(404, `Cannot find the model "${name}": there are ${shown.join(", ")}`, {
    param: "model",
    code: "model_not_found",
  });
}
