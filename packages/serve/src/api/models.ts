/** `GET /v1/models`: the base and the adapters. */
import type { Call, Reply } from "./call.ts";
import { type Served, type Target, targetOf } from "./served.ts";

/** A model as the API lists it. */
function cardOf({ base }: Served, { name, adapter }: Target): object {
  const common = { id: name, object: "model", owned_by: "zerogate", max_model_len: base.config.contextLength };
  if (!adapter) return { ...common, created: base.created, root: base.name, parent: null, sha256: null };
  return { ...common, created: adapter.created, root: adapter.name, parent: base.name, sha256: adapter.sha256 };
}

/** All of them. */
export function listModels(served: Served): Reply {
  const targets: Target[] = [{ name: served.base.name, adapter: undefined }];
  for (const adapter of served.adapters.all) targets.push({ name: adapter.name, adapter });
  return { body: { object: "list", data: targets.map((target) => cardOf(served, target)) } };
}

/** One of them. */
export function showModel(served: Served, { params }: Call): Reply {
  return { body: cardOf(served, targetOf(served, params["id"] ?? "")) };
}
