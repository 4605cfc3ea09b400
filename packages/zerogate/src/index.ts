/** `zerogate`: the command, as a function. */
export { runCli } from "./cli.ts";
export type { CommandContext } from "./commands/context.ts";
