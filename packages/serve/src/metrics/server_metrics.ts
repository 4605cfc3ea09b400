/** What a server counts. Labels are names of models that are loaded, never what a client sends. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { AdapterRegistry } from "../adapters/registry.ts";
import type { TextPool } from "../replicas/pool.ts";
import { exposition, openCounter, openGauge, openHistogram } from "./prometheus.ts";

/** A text that is measured. */
interface TextClock {
  /** A token of its answer came. */
  token(): void;
  end(): void;
}

/** Numbers of a server. */
export interface ServerMetrics {
  /** Counts a request; `model` is undefined if it named none that there is. */
  request(model: string | undefined, status: number): void;
  /** Begins to measure a text with a prompt of this many tokens. */
  text(promptTokens: number): TextClock;
  /** Returns all of them, as Prometheus reads them. */
  exposition(): string;
  close(): void;
}

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180, 600];
const TOKEN_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10];

export function openMetrics(pool: TextPool, adapters: AdapterRegistry): ServerMetrics {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const requests = openCounter("zerogate_requests_total", "Requests that were answered, by model and status.");
  const tokens = openCounter("zerogate_tokens_total", "Tokens of prompts and of answers.");
  const first = openHistogram("zerogate_time_to_first_token_seconds", "From a request to its first token.", SECONDS);
  const each = openHistogram("zerogate_time_per_token_seconds", "Between two tokens of an answer.", TOKEN_SECONDS);
  const whole = openHistogram("zerogate_text_seconds", "From a request to the end of its answer.", SECONDS);
  const load = (read: () => number) => () => [[{}, read()] as const];
  const metrics = [
    requests,
    openGauge(
      "zerogate_running",
      "Texts that are being answered.",
      load(() => pool.load.running),
    ),
    openGauge(
      "zerogate_waiting",
      "Texts that wait.",
      load(() => pool.load.waiting),
    ),
    openGauge(
      "zerogate_workers",
      "Workers that answer.",
      load(() => pool.workers.filter(({ isReady }) => isReady).length),
    ),
    tokens,
    first,
    each,
    whole,
    openGauge(
      "zerogate_event_loop_delay_seconds",
      "Delay of the thread that speaks HTTP, 99th percentile.",
      load(() => delay.percentile(99) / 1e9),
    ),
    openGauge("zerogate_adapter_info", "Adapters that are loaded.", () =>
      adapters.all.map(({ name, sha256 }) => [{ name, sha256 }, 1] as const),
    ),
  ];

  return {
    request: (model = "", status) => requests.add({ model, code: String(status) }),
    text(promptTokens) {
      const began = performance.now();
      let last: number | undefined;
      tokens.add({ kind: "prompt" }, promptTokens);
      return {
        token() {
          const now = performance.now();
          tokens.add({ kind: "generated" });
          if (last === undefined) first.observe((now - began) / 1000);
          else each.observe((now - last) / 1000);
          last = now;
        },
        end: () => whole.observe((performance.now() - began) / 1000),
      };
    },
    exposition: () => exposition(metrics),
    close: () => delay.disable(),
  };
}
