/** The keys of a run config as command line flags. */
import { configKeys, type Field, fields, flagName } from "./fields.ts";
import type { ConfigKey } from "./train_config.ts";

export interface FlagDefinition {
  /** `--batch-size`. */
  readonly flag: string;
  readonly key: ConfigKey;
  /** `<n>`, `<files...>`; undefined for a switch. */
  readonly argument: string | undefined;
  readonly description: string;
}

/** One definition per key, and for a switch a second one, `--no-…`, that turns it off; both name the same key. */
export function flagDefinitions(): FlagDefinition[] {
  return configKeys.flatMap((key) => {
    const { argument, description, fallback }: Field<unknown> = fields[key];
    // A default that depends on the machine is named in the description; so are those of keys without one.
    const shown =
      fallback === undefined || key === "workers"
        ? description
        : `${description} (default: ${JSON.stringify(fallback).replaceAll('"', "")})`;
    const flag = { flag: flagName(key), key, argument, description: shown };
    if (argument !== undefined) return [flag];
    return [flag, { ...flag, flag: flag.flag.replace("--", "--no-"), description: `do not ${description}` }];
  });
}

/** The config flags among all options of a command, which has others as well (`--json`, `--config`). */
export function configFlags(options: Readonly<Record<string, unknown>>): Partial<Record<ConfigKey, unknown>> {
  return Object.fromEntries(configKeys.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]));
}
