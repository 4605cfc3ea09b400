/** All routes: what each takes, and what answers it. */
import { listAdapters, loadAdapter, loadLora, unloadAdapter, unloadLora } from "./adapter_routes.ts";
import type { Handler } from "./call.ts";
import { chatCompletions } from "./chat.ts";
import { completions } from "./completions.ts";
import { metricsText } from "./metrics_route.ts";
import { listModels, showModel } from "./models.ts";
import { openApi } from "./openapi.ts";
import type { Served } from "./served.ts";
import {
  type BodyShape,
  chatShape,
  completionShape,
  detokenizeShape,
  loadLoraShape,
  loadShape,
  tokenizeShape,
  unloadLoraShape,
} from "./shapes.ts";
import { detokenize, tokenize, tokenizerInfo } from "./token_routes.ts";
import { version } from "./version_route.ts";

/** A route that needs a loaded model. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `:name` at the end stands for the rest of a path. */
  readonly path: string;
  readonly about: string;
  readonly shape?: BodyShape<unknown>;
  readonly handle: Handler<Served>;
}

export const routes: readonly Route[] = [
  { method: "GET", path: "/v1/models", about: "the base and its adapters", handle: listModels },
  { method: "GET", path: "/v1/models/:id", about: "one of them", handle: showModel },
  {
    method: "POST",
    path: "/v1/completions",
    about: "continues texts or tokens",
    shape: completionShape,
    handle: completions,
  },
  {
    method: "POST",
    path: "/v1/chat/completions",
    about: "answers a chat",
    shape: chatShape,
    handle: chatCompletions,
  },
  { method: "GET", path: "/v1/adapters", about: "the adapters, with their hashes", handle: listAdapters },
  {
    method: "POST",
    path: "/v1/adapters",
    about: "loads an adapter, or replaces the one of its name",
    shape: loadShape,
    handle: loadAdapter,
  },
  { method: "DELETE", path: "/v1/adapters/:name", about: "unloads an adapter", handle: unloadAdapter },
  {
    method: "POST",
    path: "/v1/load_lora_adapter",
    about: "loads an adapter, as vLLM's clients ask for it",
    shape: loadLoraShape,
    handle: loadLora,
  },
  {
    method: "POST",
    path: "/v1/unload_lora_adapter",
    about: "unloads an adapter, as vLLM's clients ask for it",
    shape: unloadLoraShape,
    handle: unloadLora,
  },
  { method: "POST", path: "/tokenize", about: "the tokens of a text", shape: tokenizeShape, handle: tokenize },
  { method: "POST", path: "/detokenize", about: "the text of tokens", shape: detokenizeShape, handle: detokenize },
  { method: "GET", path: "/tokenizer_info", about: "special tokens and the chat template", handle: tokenizerInfo },
  { method: "GET", path: "/metrics", about: "numbers for Prometheus", handle: metricsText },
  { method: "GET", path: "/openapi.json", about: "this description", handle: () => openApi(routes) },
  { method: "GET", path: "/version", about: "version, engine, and whether bits depend on the batch", handle: version },
];
