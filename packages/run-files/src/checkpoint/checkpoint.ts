/**
 * One checkpoint: a folder `step-N` with the adapter as a PEFT folder, `optimizer.safetensors`, `state.msgpack` and a
 * manifest of sizes and hashes. It appears whole or not at all and is never written again.
 */
import { existsSync } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type AdapterLayout,
  type AdaptionPromptConfig,
  adapterLayout,
  InputError,
  type ModelConfig,
  type PromptFormat,
} from "@zerogate/core";
import type { SeenFeatures } from "@zerogate/core/formats";
import {
  adapterFiles,
  loadAdapter,
  makeFolder,
  publishDirectory,
  verifyDirectory,
  writeNewFile,
} from "@zerogate/core/node";
import type { AdamWState } from "@zerogate/core/training";
import { checkpointFolder } from "./folders.ts";
import { decodeMoments, encodeMoments } from "./moments_file.ts";
import { decodeRunState, encodeRunState, type RunState } from "./run_state.ts";
import { trainedLayout } from "./trained_parts.ts";

const MOMENTS = "optimizer.safetensors";
const STATE = "state.msgpack";

export interface Checkpoint {
  readonly state: RunState;
  readonly adapterConfig: AdaptionPromptConfig;
  /** Undefined in checkpoints of 0.1.0. */
  readonly promptFormat?: PromptFormat | undefined;
  /** What its images become; undefined for a text adapter. */
  readonly seen?: SeenFeatures | undefined;
  readonly layout: AdapterLayout;
  /** Flat as `layout` says. */
  readonly params: Float32Array;
  /** Of what is trained, see `trainedLayout`. */
  readonly moments: AdamWState;
}

/**
 * Writes `RUN/checkpoints/step-N` and returns its path. Nothing is shared with the arrays after the call returns, but
 * they must not change until then: pass copies to go on training meanwhile.
 *
 * @throws InputError if `step-N` exists, Error if the disk refuses; either way nothing half-written stays.
 */
export async function saveCheckpoint(runDir: string, checkpoint: Checkpoint): Promise<string> {
  const { state, adapterConfig: config, promptFormat, seen, layout, params, moments } = checkpoint;
  const files = new Map<string, Uint8Array | string>([
    ...adapterFiles({ config, layout, params, promptFormat, seen }),
    [MOMENTS, encodeMoments(moments)],
    [STATE, encodeRunState(state)],
  ]);
  const final = checkpointFolder(runDir, state.step);
  await access(runDir); // one that was moved away is not made again under its old name
  await makeFolder(join(final, ".."));
  await publishDirectory(final, async (folder) => {
    for (const [name, bytes] of files) await writeNewFile(join(folder, name), bytes);
  });
  return final;
}

/**
 * Reads a checkpoint of a run on this base, after comparing every file with the manifest.
 *
 * @throws InputError with every problem: damage, another base, a state of a newer version.
 */
export async function loadCheckpoint(folder: string, model: ModelConfig): Promise<Checkpoint> {
  const problems = await verifyDirectory(folder);
  // A manifest that was made again may list fewer files.
  for (const name of [MOMENTS, STATE]) if (!existsSync(join(folder, name))) problems.push(`${name} is missing`);
  if (problems.length > 0) throw new InputError(`Cannot use the checkpoint ${folder}`, problems);
  const { config: adapterConfig, shape, params, promptFormat, seen } = await loadAdapter(folder, model);
  const layout = adapterLayout(shape, model);
  const state = decodeRunState(await readFile(join(folder, STATE)), join(folder, STATE));
  const { table } = trainedLayout(state.config, layout);
  const moments = decodeMoments(await readFile(join(folder, MOMENTS)), table, join(folder, MOMENTS), layout.table);
  return { state, adapterConfig, promptFormat, seen, layout, params, moments };
}
