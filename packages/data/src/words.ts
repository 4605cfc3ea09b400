/** `@zerogate/data/words`: words of its settings, for help that must start at once. */
export { scienceFormats } from "./scienceqa/text.ts";
