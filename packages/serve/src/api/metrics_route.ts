/** `GET /metrics`, as Prometheus reads them. */
import type { Reply } from "./call.ts";
import type { Served } from "./served.ts";

export function metricsText({ metrics }: Served): Reply {
  return { body: metrics.exposition(), contentType: "text/plain; version=0.0.4; charset=utf-8" };
}
