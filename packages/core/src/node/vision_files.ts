/** The files of an adapter folder that are about images, read beside PEFT's. */
import { join } from "node:path";
import { compareTensors, readParts, reportProblems } from "../adapter/files/tensors.ts";
import { parseVisionConfig, VISION_CONFIG, type VisionConfig } from "../adapter/files/vision_config.ts";
import type { AdapterLayout } from "../adapter/layout.ts";
import { VISION_FILE } from "../adapter/parts/projection.ts";
import { InputError } from "../errors.ts";
import { withSafetensors } from "./adapter_weights.ts";
import { folderFile, readFolderJson } from "./model_folder.ts";

/**
 * Reads what the adapter in a folder sees; undefined for a text adapter. Throws an `InputError` if one of the two files is
 * missing, since half of them is neither.
 */
export async function readVisionConfig(
  folder: string,
): Promise<{ config: VisionConfig; warnings: string[] } | undefined> {
  const [config, weights] = [await folderFile(folder, VISION_CONFIG), await folderFile(folder, VISION_FILE)];
  if (!config && !weights) return undefined;
  if (!config || !weights) {
    const [there, missing] = config ? [VISION_CONFIG, VISION_FILE] : [VISION_FILE, VISION_CONFIG];
    throw new InputError(
      `Cannot load the adapter in ${folder}`,
      `${there} is there, ${missing} is missing: put it beside the other, or take both away to use the text adapter alone`,
    );
  }
  return parseVisionConfig(await readFolderJson(folder, VISION_CONFIG), join(folder, VISION_CONFIG));
}

/** Throws an `InputError` unless what an adapter sees belongs to its prompts, and to a base of this width. */
export function checkVisionConfig(
  folder: string,
  { promptLength, adaptedLayers, hiddenSize }: VisionConfig,
  own: { readonly promptLength: number; readonly adaptedLayers: number; readonly hiddenSize: number },
): void {
  const problems: string[] = [];
  const compare = (what: string, said: number, found: number) => {
    if (said !== found) problems.push(`${VISION_CONFIG} is for ${said} ${what}, its tensors have ${found}`);
  };
  compare("prompts a layer", promptLength, own.promptLength);
  compare("adapted layers", adaptedLayers, own.adaptedLayers);
  if (hiddenSize !== undefined) compare("numbers a prompt", hiddenSize, own.hiddenSize);
  if (problems.length > 0) throw new InputError(`Cannot use the adapter ${folder}`, problems);
}

/**
 * Sets the numbers that are trained for images in the flat vector. Throws an `InputError` that lists every tensor of the file that
 * is missing, surplus, of another shape or not finite; without `strict` a missing one counts as zeros.
 */
export async function readVisionParts(
  folder: string,
  { table }: AdapterLayout,
  params: Float32Array,
  strict = true,
): Promise<void> {
  const parts = table.filter(({ file }) => file === VISION_FILE);
  const found = await folderFile(folder, VISION_FILE);
  if (parts.length === 0 || !found) return;
  await withSafetensors(found, async (stored) => {
    const problems = reportProblems(compareTensors(stored.entries, parts), strict);
    if (problems.length > 0) throw new InputError(`Cannot use ${join(folder, VISION_FILE)}`, problems);
    readParts(await stored.read(), parts, params, join(folder, VISION_FILE));
  });
}
