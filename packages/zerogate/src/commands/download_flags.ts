/** Flags and help of `zerogate download`. */
import type { CommandDefinition } from "../cli/definition.ts";
import type { DownloadFlags } from "./download.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<DownloadFlags, readonly [name: string]> = {
  operands: ["<name>"],
  flags: {
    include: {
      group: "Common",
      argument: "<glob>",
      about: "further files, as '*.bin', may be given several times; * is any text",
      repeats: true,
    },
    exclude: {
      group: "Common",
      argument: "<glob>",
      about: "files that stay on the Hub, may be given several times",
      repeats: true,
    },
    to: {
      group: "Common",
      argument: "<dir>",
      about: "folder that gets the files too, as plain ones (default: the cache alone)",
    },
    dataset: { group: "Common", about: "NAME is a dataset, not a model" },
    json,
  },
  notes:
    "NAME is OWNER/NAME, with @REVISION for a branch, tag or commit, and :FOLDER for a part; OWNER/NAME/FILE.gguf is one file. " +
    "Fetched are weights in safetensors, settings, tokenizers and templates, into the cache of huggingface_hub. HF_TOKEN, " +
    "HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE and HTTPS_PROXY mean what they mean there. docs/hub.md",
  examples: [
    ["Qwen/Qwen3-0.6B --to models/qwen3", "plain files in a folder, to be copied elsewhere"],
    ["Qwen/Qwen3-0.6B", "then train --model Qwen/Qwen3-0.6B finds it"],
    ["Qwen/Qwen3-0.6B@refs/pr/1", "another revision"],
    ["owner/name --include '*.bin'", "weights that were pickled too"],
  ],
  run: async ([name], flags, context) => (await import("./download.ts")).downloadCommand(name, flags, context),
};
