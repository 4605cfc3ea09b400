/** `@zerogate/run-config/keys`: what a key may hold and what help says of it, without the engines that a config may name. */
export { configKeys, fields } from "./config/fields.ts";
export type { HelpGroup } from "./config/help_groups.ts";
export type { Field } from "./config/kinds.ts";
export type { ConfigKey } from "./config/train_config.ts";
