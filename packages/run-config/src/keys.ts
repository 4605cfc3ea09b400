/** `@zerogate/run-config/keys`: what a key may hold and what help says of it, without the engines that a config may name. */
export { configKeys, type Field, fields } from "./config/fields.ts";
export type { ConfigKey } from "./config/train_config.ts";
