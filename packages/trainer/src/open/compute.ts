/** `compute: auto`: the arithmetic that a base and the machines at hand share. */
import type { ModelConfig } from "@zerogate/core";
import type { Compute } from "@zerogate/core/engine";
import { linearMapDtypes } from "@zerogate/core/node";
import { computesOf, type TrainConfig } from "@zerogate/run-config";

/**
 * Returns bf16 for a base whose linear maps are all in bf16, if the engine multiplies in it here, else f32. A base in f16 is
 * no reason: its numbers have three bits more than bf16 keeps.
 * @throws InputError for an engine or a base that cannot be used.
 */
export async function resolveCompute(
  { engine, model: folder }: Pick<TrainConfig, "engine" | "model">,
  model: ModelConfig,
): Promise<Compute> {
  if (!(await computesOf(engine, model)).includes("bf16")) return "f32";
  const dtypes = await linearMapDtypes(folder, model);
  return dtypes.size === 1 && dtypes.has("bf16") ? "bf16" : "f32";
}
