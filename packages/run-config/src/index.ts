/** `@zerogate/run-config`: the keys of a run, from files, flags and presets, and the engine that they mean. */

export { storageNames } from "@zerogate/core/light";
export { readConfigFile } from "./config/config_file.ts";
export { type DataEntry, dataPaths, type MixtureEntry } from "./config/data_entries.ts";
export { configKeys, fields } from "./config/fields.ts";
export { fieldsFlag } from "./config/fields_flag.ts";
export { flagName } from "./config/flag_name.ts";
export { configHash, hasChanges, safeChanges, showValue, undoChanges, unsafeChanges } from "./config/identity.ts";
export type { Field } from "./config/kinds.ts";
export {
  MAX_HOSTS,
  MAX_PROMPT_LENGTH,
  MAX_SECONDS,
  MAX_STEPS,
  MAX_TEMPERATURE,
  MAX_TOKENS,
  MAX_VOCABULARY,
  MAX_WORKERS,
} from "./config/limits.ts";
export { peakLearningRate, resolveConfig } from "./config/resolve.ts";
export { completeConfig, defaultOf, FIRST_VERSION, VERSION_KEY } from "./config/stored_config.ts";
export { suggest } from "./config/suggest.ts";
export { flagSpellings, squash, synonymOf, synonyms } from "./config/synonyms.ts";
export {
  type ConfigKey,
  comparedOtherwise,
  computeNames,
  type LogLevel,
  logLevels,
  safeToChange,
  type TrainConfig,
} from "./config/train_config.ts";
export { type VisionShapeKey, visionShape } from "./config/vision_shape.ts";
export { chooseEngine, computesOf, type EngineChoice, isIsolated, loadOptions } from "./engines/choose.ts";
export { describedEngine, deviceCount, engineChecks, namesOfEngines } from "./engines/registry.ts";
export { engineNames, isEnginePath } from "./engines/rows.ts";
export { workerModule } from "./engines/worker_module.ts";
export { type HubPlace, hubNameOf, hubPlace, localPlace } from "./hub_place.ts";
export { ownCommand, setOwnName } from "./own_command.ts";
export { versions } from "./version.ts";
