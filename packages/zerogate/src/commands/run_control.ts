/** How a command steers a run: by the signals of its process, and by lines for people. */
import type { RunOptions } from "@zerogate/trainer";
import type { CommandContext } from "./context.ts";

export function controlOf({ signal, saveRequests, stderr }: CommandContext): RunOptions {
  return { signal, saveRequests, onLine: (line) => stderr.write(`${line}\n`) };
}
