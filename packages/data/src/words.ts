/** `@zerogate/data/words`: words of its settings, for help that must start at once. */
export { fieldNames } from "./fields/field_names.ts";
export { scienceFormats } from "./scienceqa/text.ts";
