/** Lines that a person can paste to start this program again, as it was started. */
import { shellQuoted } from "@zerogate/core/light";

type Environment = Readonly<Record<string, string | undefined>>;

/** Set once, by `runCli`: messages from anywhere name commands. */
let name = "zerogate";

/** Settles how lines begin, by the environment and the script that node was given. */
export function setOwnName(env: Environment, script = ""): void {
  name = ownName(env, script);
}

/**
 * Returns `npx zerogate` if the command lies in a project's `node_modules` (npx's own folder is one), or an npm script
 * started it: the shell would not find it. An installed command is typed unchanged, even if npm left something in the environment.
 */
export function ownName(env: Environment, script: string): string {
  const isInProject = /[\\/]node_modules[\\/]/.test(script);
  const isInstalled = /[\\/]zerogate$/.test(script);
  const isByNpm = env["npm_command"] !== undefined || env["npm_execpath"] !== undefined;
  return isInProject || (isByNpm && !isInstalled) ? "npx zerogate" : "zerogate";
}

/** Returns a line to paste, its values quoted: ownCommand`resume ${folder} --workers 2`. */
export function ownCommand(words: TemplateStringsArray, ...values: readonly string[]): string {
  return `${name} ${String.raw({ raw: words }, ...values.map(shellQuoted))}`.trimEnd();
}
