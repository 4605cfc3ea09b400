/** Routes that list, load, replace and unload adapters, under our names and under vLLM's. */
import type { ServedAdapter } from "../adapters/registry.ts";
import { bodyOf, type Call, type Reply } from "./call.ts";
import type { Served } from "./served.ts";
import { loadLoraShape, loadShape, unloadLoraShape } from "./shapes.ts";

function cardOf({ name, sha256, created, format, state }: ServedAdapter): object {
  const { promptLength, adaptedLayers } = state.layout.shape;
  return { name, sha256, created, template: format.template.name, promptLength, adaptedLayers };
}

export function listAdapters({ adapters }: Served): Reply {
  return { body: { object: "list", data: adapters.all.map(cardOf) } };
}

/** Answers once the folder was read and checked and its prompts are made. */
export async function loadAdapter({ loader }: Served, call: Call): Promise<Reply> {
  const { name, path } = bodyOf(call, loadShape);
  const { adapter, isNew } = await loader.load(name, path);
  return { status: isNew ? 201 : 200, body: cardOf(adapter) };
}

export function unloadAdapter({ loader }: Served, { params }: Call): Reply {
  const name = params["name"] ?? "";
  loader.unload(name);
  return { body: { name, deleted: true } };
}

/** As vLLM's clients ask for it. */
export async function loadLora({ loader }: Served, call: Call): Promise<Reply> {
  const { lora_name: name, lora_path: path } = bodyOf(call, loadLoraShape);
  await loader.load(name, path);
  return { body: `Success: adapter ${name} is loaded.` };
}

/** As vLLM's clients ask for it. */
export function unloadLora({ loader }: Served, call: Call): Reply {
  const { lora_name: name } = bodyOf(call, unloadLoraShape);
  loader.unload(name);
  return { body: `Success: adapter ${name} is unloaded.` };
}
