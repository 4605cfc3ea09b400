/** Flags and help of `zerogate convert`. */

import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { ConvertFlags } from "./convert.ts";
import { json } from "./shared_flags.ts";

export const definition: CommandDefinition<ConvertFlags, readonly [input: string, out: string]> = {
  operands: ["<in>", "<out>"],
  flags: {
    to: {
      group: "Required",
      argument: "<format>",
      about: "peft, zerogate (folders), original, multimodal, litgpt, lit-llama (files)",
      isRequired: true,
    },
    dtype: {
      group: "Common",
      argument: "<dtype>",
      about: "of the numbers written: f32, bf16, f16 (default: those read, else f32)",
    },
    json,
    ...configFlagTable(["links"]),
    model: {
      group: "Model",
      argument: "<dir>",
      about: "base model: its layers, size and heads are compared, its name is written",
    },
    heads: { group: "Model", argument: "<n>", about: "query heads of the base, if no --model says them" },
    adapterLen: {
      group: "Adapter",
      argument: "<n>",
      about: "prompts per layer of an original file, if its gates leave it open",
    },
    assumeGate: {
      group: "Adapter",
      argument: "<kind>",
      about: "what gates of the original's files mean: tanh (its training code), raw (default: tanh)",
    },
    gateReduce: {
      group: "Adapter",
      argument: "<how>",
      about: "allow the loss of one gate a layer instead of one a head: mean, median, rms, lstsq",
    },
    gate: {
      group: "Adapter",
      argument: "<kind>",
      about: "raw: fold the factors of a multimodal file's gates into gates without tanh",
    },
    tower: {
      group: "Images",
      argument: "<dir>",
      about: "tower that a multimodal file was trained with (default: CLIP ViT-L/14, if its sizes fit)",
    },
    visionHeads: {
      group: "Images",
      argument: "<n>",
      about: "heads of the visual blocks of a multimodal file, which does not say it (default: 16)",
    },
    data: {
      group: "Data",
      argument: "<files...>",
      about: "instructions on which lstsq measures what the layers of --model add",
    },
    clampGates: { group: "Adapter", about: "allow the loss of gates that tanh cannot reach (1 and more)" },
  },
  notes:
    "IN is a run, an adapter folder, or a file of another program (.pth, .pt, .ckpt, .safetensors): what it holds decides, not its name.",
  examples: [
    ["run/adapter for-peft --to peft", "an adapter that PEFT loads"],
    ["run/adapter adapter.pth --to original --model base", "a file for the authors' code"],
    ["adapter.pth adapter --to zerogate --model base", "an original checkpoint, to be used here"],
  ],
  run: async ([input, out], flags, context) =>
    (await import("./convert.ts")).convertCommand(input, out, flags, context),
};
