/** `@zerogate/core/light`: errors and words of the main entry which load nothing else, for what must start at once. */
export { type BosRule, bosRules, turnRules } from "./adapter/files/prompt_format.ts";
export { adapterSettings } from "./adapter/settings.ts";
export {
  DamagedError,
  DeadlyCellError,
  DeviceDiedError,
  EngineLostError,
  type ErrorCode,
  InputError,
  isZerogateError,
  RankLateError,
  StepRefusedError,
  ZerogateError,
} from "./errors.ts";
export { storageNames } from "./formats/scaled_format.ts";
export { shellQuoted } from "./shell_words.ts";
