/** `GET /version`. */
import { versions } from "@zerogate/run-config";
import type { Reply } from "./call.ts";
import type { Served } from "./served.ts";

export function version({ pool, settings }: Served): Reply {
  const engine = pool.workers.find(({ engineName }) => engineName !== undefined)?.engineName ?? null;
  const { isBatchInvariant: batchInvariant } = settings;
  return { body: { version: versions.zerogate, node: versions.node, engine, batchInvariant } };
}
