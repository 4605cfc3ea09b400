/**
 * The model card of an adapter, `README.md`. Its header is metadata of the Hugging Face hub: it says only what is known, so
 * there is no license and no language, and no base unless it has a name there.
 */

import { hubCommitOf, isHubId } from "../../formats/hub_name.ts";
import type { AdapterLayout } from "../layout.ts";
import { isPeft } from "../settings.ts";
import type { AdaptionPromptConfig } from "./config.ts";
import type { SeenFeatures } from "./vision_config.ts";

/** @param origin which state of a run this is, for example `step 60 of 60, the last`. */
export function modelCard(
  config: AdaptionPromptConfig,
  layout: AdapterLayout,
  origin: string | undefined,
  seen?: SeenFeatures,
): string {
  const base = hubId(config.baseModelNameOrPath);
  const { shape, base: adapted } = layout;
  const isOfPeft = isPeft(shape) && shape.outputBiasTimes !== "once" && adapted.attachment === undefined;
  const header = [
    `library_name: ${isOfPeft ? "peft" : "zerogate"}`,
    ...(base === undefined ? [] : [`base_model: ${JSON.stringify(base)}`, "base_model_relation: adapter"]),
    ...(config.taskType === "CAUSAL_LM" ? ["pipeline_tag: text-generation"] : []),
    "tags:",
    ...(base === undefined ? [] : [`- ${JSON.stringify(`base_model:adapter:${base}`)}`]),
    "- llama-adapter",
    "- zerogate",
  ];
  const paragraphs = [
    ...describe(config, layout, base),
    ...(seen ? [describeImages(seen, layout)] : []),
    ...(origin === undefined ? [] : [`Taken from ${origin}.`]),
  ];
  return `---\n${header.join("\n")}\n---\n\n# Adapter\n\n${paragraphs.join("\n\n")}\n`;
}

function describe(
  { baseModelNameOrPath }: AdaptionPromptConfig,
  layout: AdapterLayout,
  base: string | undefined,
): string[] {
  const { promptLength, adaptedLayers, gateSharing, gateActivation, outputBiasTimes } = layout.shape;
  const gate = `${gateSharing} gate${gateActivation === "tanh" ? " with tanh" : ""}`;
  const bias =
    outputBiasTimes === "once"
      ? " The bias of the base's output projection is added once; PEFT adds it twice and computes something else."
      : "";
  const facts = `LLaMA-Adapter (adaption prompts): ${promptLength} prompt tokens in each of the last ${adaptedLayers} layers, ${gate}, ${layout.length} trained numbers.${bias}`;
  const unknown =
    layout.base.attachment === undefined
      ? ""
      : " PEFT attaches prompts to no base of this family: the file says by which rule they attach (`zerogate.attachment`).";
  if (base !== undefined) return [facts + unknown];
  const where =
    baseModelNameOrPath === null
      ? "The name of its base is not known."
      : "Its base is a folder of the machine that it was trained on, which `adapter_config.json` names.";
  return [
    facts + unknown,
    `${where} Add \`base_model\` to the header with the base's id on the Hub before you publish it.`,
  ];
}

function describeImages({ tower, features }: SeenFeatures, { shape }: AdapterLayout): string {
  const { modelType, hiddenSize, layers, imageSize, patchSize, sha256, nameOrPath } = tower;
  const named = nameOrPath === undefined ? undefined : hubId(nameOrPath);
  const place = nameOrPath === undefined ? "" : ", a folder of the machine that it was trained on";
  const { vision } = shape;
  const numbers =
    vision?.fusion === "query" ? `tokens of ${vision.featureSize} numbers` : `${vision?.featureSize} numbers an image`;
  const name = named === undefined ? place : `, [${named}](https://huggingface.co/${named})`;
  const hash = sha256 === undefined ? "" : `, SHA-256 of its weights and settings ${sha256}`;
  return (
    `It sees images (\`vision.safetensors\`, \`vision_config.json\`; PEFT ignores both and loads the text adapter): ` +
    `${numbers}, ${features.join(", ")} of a ${modelType} tower of ${layers} layers of width ` +
    `${hiddenSize}, ${imageSize} pixels in patches of ${patchSize}${name}${hash}. The tower is not in this folder.`
  );
}

/** Returns the base's name on the Hub; undefined if what is known of it is a path. */
function hubId(base: string | null): string | undefined {
  if (base === null) return undefined;
  return hubCommitOf(base)?.id ?? (isHubId(base) ? base : undefined);
}
