/** Whether `RUN/adapter` is that of the state which the run was to deliver. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { PromptFormat } from "@zerogate/core";
import { parseStrictJson } from "@zerogate/core/formats";
import { adapterFiles, readPromptFormat, reason } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { hubNameOf, versions } from "@zerogate/run-config";
import type { Checkpoint } from "@zerogate/run-files";
import { type AdapterChoice, chooseAdapter, describeChoice, lastAdapter } from "./adapter_choice.ts";

const CARD = "README.md";
const CONFIG_NAME = "adapter_config.json";

export interface AdapterFindings {
  /** What it is compared with, in words. */
  readonly of: string;
  /** Files that are not those of this state, one sentence each. */
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

/** Compares the folder with what the newest and the best checkpoint give; undefined if there is none. */
export async function compareAdapter(
  config: TrainConfig,
  newest: Checkpoint,
  best: Checkpoint | undefined,
): Promise<AdapterFindings | undefined> {
  const folder = join(config.out, "adapter");
  if (!existsSync(folder)) return undefined;
  const choice = chooseAdapter(config, newest.state);
  const source = choice.step === newest.state.step ? newest : best;
  if (source) return await compareWith(config, source, choice);
  const gone = `the checkpoint of ${describeChoice(choice)} is gone, so the adapter was compared with the last one`;
  const findings = await compareWith(config, newest, lastAdapter(newest.state.step));
  return { ...findings, notes: [...findings.notes, gone] };
}

async function compareWith(config: TrainConfig, source: Checkpoint, choice: AdapterChoice): Promise<AdapterFindings> {
  const { adapterConfig, layout, params, seen, state } = source;
  const problems: string[] = [];
  const promptFormat = source.promptFormat ?? (await formatOfOldRun(config, problems));
  const read = (name: string) => readFile(join(config.out, "adapter", name)).catch(() => undefined);
  const named = baseNamedIn((await read(CONFIG_NAME))?.toString());
  const baseModelNameOrPath = named ?? adapterConfig.baseModelNameOrPath;
  const files = adapterFiles({
    config: { ...adapterConfig, baseModelNameOrPath },
    layout,
    params,
    dtype: config.adapterDtype,
    promptFormat,
    seen,
    origin: describeChoice(choice),
  });
  const of = `the ${choice.step === choice.steps ? "last" : "best"} checkpoint, step ${choice.step}`;
  for (const [name, expected] of files) {
    if (name === CARD && state.versions.zerogate !== versions.zerogate) continue; // another version has other words
    const stored = await read(name);
    if (stored?.equals(Buffer.from(expected as Uint8Array))) continue;
    problems.push(`adapter/${name} ${stored ? "is not that of" : "is missing, unlike in"} ${of}`);
  }
  const known = [undefined, config.model, hubNameOf(config.model)?.id, adapterConfig.baseModelNameOrPath];
  const isElsewhere = !known.includes(named);
  const notes = isElsewhere ? [`adapter: it names ${named} as its base, which has moved since or was never there`] : [];
  return { of, problems, notes };
}

/** Checkpoints of 0.1.0 do not say how prompts were written, the run's config does. */
async function formatOfOldRun(
  { out, bos, template }: TrainConfig,
  problems: string[],
): Promise<PromptFormat | undefined> {
  const folder = join(out, "adapter");
  const stored = await readPromptFormat(folder).catch((error: unknown) => void problems.push(reason(error)));
  if (stored && (stored.bos !== bos || stored.template.name !== basename(template)))
    problems.push("adapter/zerogate.json is not that of the run's config");
  return stored ?? undefined;
}

/** Where the base lay when the adapter was written is free to change: a run may be finished or moved later. */
function baseNamedIn(text: string | undefined): string | undefined {
  try {
    const config = parseStrictJson(text ?? "") as { readonly base_model_name_or_path?: unknown } | null;
    const path = config?.base_model_name_or_path;
    return typeof path === "string" ? path : undefined;
  } catch {
    return undefined;
  }
}
