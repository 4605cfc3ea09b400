/** What a run would do with its data, from config and tokenizer of the base alone: the weights need not be there. */
import type { ModelConfig } from "@zerogate/core";
import { loadTemplate, type Template, type Tokenizer } from "@zerogate/data";
import type { TrainConfig } from "@zerogate/run-config";
import { openAdapter, type StartingAdapter } from "../open/adapter.ts";
import { openTokenizer, readBase } from "../open/base.ts";
import type { Progress } from "../open/data.ts";
import { checkLinks } from "../open/links.ts";
import { openTower } from "../open/tower.ts";
import { cacheDirOf } from "../run/inputs.ts";
import { type PlannedData, planData } from "../run/planned_data.ts";

export interface PlanOnly extends StartingAdapter {
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  readonly data: PlannedData;
}

/** Reads data and plans steps. Nothing is written but the token cache. Throws an InputError for what cannot be used. */
export async function planOnly(config: TrainConfig, progress: Progress): Promise<PlanOnly> {
  const { onPhase, onWarning } = progress;
  await checkLinks(config, [config.initAdapter]);
  const model = await readBase(config, onWarning);
  const tokenizer = await openTokenizer(config, model, onWarning);
  const tower = await openTower(config, onWarning);
  const adapter = await openAdapter(config, model, tower, onWarning);
  const template = await loadTemplate(config.template, tokenizer, config.turns);
  const cacheDir = cacheDirOf(config, onWarning);
  const { layout } = adapter;
  const data = await planData(config, { model, tokenizer, template, layout, cacheDir, tower }, progress);
  onPhase(undefined);
  return { model, tokenizer, template, ...adapter, data };
}
