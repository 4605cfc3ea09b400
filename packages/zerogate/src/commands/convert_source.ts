/** The adapter that `convert` reads, and whether it fits the base that it is for. */
import { type AdapterState, architectureOf, InputError, type ModelConfig } from "@zerogate/core";
import type { DType } from "@zerogate/core/engine";
import { adapterLayoutOn, baseProblems, foreignModules, moduleNames } from "@zerogate/core/formats";
import { readAdapter, readAdapterFile } from "@zerogate/core/node";

/** `peft` and `zerogate` are folders: PEFT's own gate, and whatever gate the adapter has. */
export const targets = ["peft", "zerogate", "original", "multimodal", "litgpt", "lit-llama"] as const;
export type Target = (typeof targets)[number];

/** An adapter from a folder or a file, and what is known of it beside its numbers. */
export interface Source {
  readonly from: Target;
  readonly state: AdapterState;
  readonly dtype: DType;
  readonly folder?: Pick<Awaited<ReturnType<typeof readAdapter>>, "config" | "metadata" | "promptFormat" | "seen">;
  readonly notes: readonly string[];
}

/** @param folder That of the adapter, undefined if `input` is a file. */
export async function readSource(
  input: string,
  folder: string | undefined,
  options: Parameters<typeof readAdapterFile>[1],
): Promise<Source> {
  if (folder === undefined) {
    const { dialect, state, notes } = await readAdapterFile(input, options);
    const gates =
      dialect === "original" ? [`gates of ${input} are taken as ${options?.originalGate}: --assume-gate`] : [];
    return { from: dialect, state, dtype: "f32", notes: [...notes, ...gates] };
  }
  const { config, metadata, promptFormat, seen, layout, params, dtype, warnings } = await readAdapter(folder);
  const { gateSharing, gateActivation } = layout.shape;
  const isPlain = gateSharing === "scalar" && gateActivation === "none";
  const from = isPlain ? "peft" : "zerogate";
  return { from, state: { layout, params }, dtype, folder: { config, metadata, promptFormat, seen }, notes: warnings };
}

/** The adapter with the number of heads that its base has; it must fit the base if that is given. */
export function withHeads(state: AdapterState, base: ModelConfig | undefined, given: number, to: Target): AdapterState {
  const { layout, params } = state;
  const problems = base === undefined ? [] : baseProblems(layout, base);
  const heads = base?.heads ?? given;
  const isForeign = to !== "peft" && to !== "zerogate";
  const names = moduleNames(layout.base);
  if (to === "multimodal" && layout.shape.vision?.fusion !== "query") {
    problems.push("a multimodal file holds visual queries, which the adapter has not: use --to peft or zerogate");
  } else if (isForeign && to !== "multimodal" && layout.shape.vision) {
    problems.push(`a file of ${to} has no place for what the adapter trained for images: use --to peft or zerogate`);
  }
  if (isForeign && base?.qkNorm) {
    problems.push(
      `keys of prompts are normed in a ${base.modelType}, which a reader of ${to} does not do: use --to zerogate`,
    );
  }
  if (isForeign && base === undefined && layout.base.attachment) {
    problems.push(
      `the adapter is for a base that PEFT does not know, to which a reader of ${to} may attach prompts otherwise: give --model, or use --to zerogate`,
    );
  }
  if (isForeign && base && architectureOf(base).promptsJoin === "after-output") {
    problems.push(
      `what the prompts of a ${base.modelType} give is added after the output projection, a reader of ${to} adds it before: use --to peft or zerogate`,
    );
  } else if (isForeign && !base && names !== moduleNames({ modules: foreignModules })) {
    problems.push(
      `the adapter is for a base with ${names}, a reader of ${to} knows ${moduleNames({ modules: foreignModules })} only: use --to peft or zerogate, or give --model`,
    );
  }
  if (layout.shape.gateSharing === "per-head") {
    if (base === undefined && given > 0 && given !== layout.base.heads) {
      problems.push(`the adapter is for a base with query heads ${layout.base.heads}, --heads is ${given}`);
    }
  } else if (heads === 0 && isForeign) {
    problems.push(`${to} has one gate per query head and the adapter does not say how many: give --model or --heads`);
  }
  if (problems.length > 0) throw new InputError("Cannot convert", problems);
  if (layout.shape.gateSharing === "per-head" || heads === 0) return state;
  return { layout: adapterLayoutOn(layout.shape, { ...layout.base, heads }), params };
}
