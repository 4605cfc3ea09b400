/** The config of a run, for programs: some of its keys given, all others by default. */
import { type DataEntry, resolveConfig, type TrainConfig } from "@zerogate/run-config";

type Files = string | readonly string[];

/** Keys of docs/config.md; the base, the data and the folder of the run are needed. */
export interface RunSettings extends Omit<Partial<TrainConfig>, "data" | "validationData"> {
  readonly model: string;
  /** Files, or parts of a mixture: `{ path, weight, cap, fields, template }`. */
  readonly data: string | readonly DataEntry[];
  readonly out: string;
  readonly validationData?: Files;
}

/**
 * Returns the whole config: the settings, then those of their `preset`, then the defaults.
 *
 * @throws InputError (code `input`) that lists every setting that cannot be used.
 * @example
 * const config = runConfig({ model: "base", data: "alpaca.json", out: "runs/first", preset: "paper", epochs: 1 });
 */
export function runConfig(settings: RunSettings): TrainConfig {
  return resolveConfig({ settings: { ...settings } });
}
