/** An adapter from its folder, checked against the base, with its numbers in memory that workers share. */
import { createHash } from "node:crypto";
import { type AdapterState, adapterLayout, type OutputBias, type PromptFormat } from "@zerogate/core";
import { type LoadedAdapter, loadAdapter } from "@zerogate/core/node";
import { adapterFolder, endTokens, type PromptFlags, promptFormatOf } from "@zerogate/trainer/command";
import type { ServedBase } from "../base/served_base.ts";

/** How adapters are read. */
export interface ReadRules extends PromptFlags {
  readonly links: boolean | undefined;
  readonly outputBias: OutputBias | undefined;
}

/** What a folder holds. */
export interface ReadAdapter {
  readonly folder: string;
  readonly state: AdapterState;
  /** Of its numbers and their shape. */
  readonly sha256: string;
  readonly format: PromptFormat;
  readonly endIds: readonly number[];
  readonly seen: LoadedAdapter["seen"];
}

/** @throws InputError for a folder that is no adapter of this base, as `loadAdapter` does. */
export async function readServedAdapter(
  given: string,
  { config, tokenizer }: Pick<ServedBase, "config" | "tokenizer">,
  { links, outputBias, ...flags }: ReadRules,
  onWarning: (message: string) => void,
): Promise<ReadAdapter> {
  const folder = await adapterFolder(given, onWarning, links);
  const loaded = await loadAdapter(folder, config, { outputBiasTimes: outputBias });
  for (const warning of loaded.warnings) onWarning(warning);
  const format = await promptFormatOf({ ...loaded, folder }, flags, tokenizer, onWarning);
  const params = new Float32Array(new SharedArrayBuffer(loaded.params.byteLength));
  params.set(loaded.params);
  const bytes = new Uint8Array(loaded.params.buffer, loaded.params.byteOffset, loaded.params.byteLength);
  return {
    folder,
    state: { layout: adapterLayout(loaded.shape, config), params },
    sha256: createHash("sha256").update(JSON.stringify(loaded.shape)).update(bytes).digest("hex"),
    format,
    endIds: endTokens(tokenizer, config, format.template),
    seen: loaded.seen,
  };
}
