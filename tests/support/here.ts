/** The `zerogate` command in this process: the same words and answers as `cli.ts`, without the start of a process. */
import { Readable } from "node:stream";
import { runCli } from "../../packages/zerogate/dist/index.js";
import { recorded } from "../../packages/zerogate/test/recorded.ts";
import { type Call, environmentIn, jsonLines, type Outcome } from "./cli.ts";

type CallHere = Pick<Call, "cwd" | "env" | "input">;

/**
 * Runs `zerogate` in `cwd`, which becomes the folder of this test process; the token cache lies there too. For tests of what a command
 * answers and writes. Signals, open files, users and output that is cut off need a process: `zerogate` of `cli.ts`.
 */
export async function zerogateHere(args: readonly string[], { cwd, env, input = "" }: CallHere): Promise<Outcome> {
  if (process.cwd() !== cwd) process.chdir(cwd);
  let [stdout, stderr] = ["", ""];
  const context = {
    ...recorded(
      (text) => (stdout += text),
      (text) => (stderr += text),
    ),
    stdin: Readable.from(input === "" ? [] : [input]),
    env: { ...environmentIn(cwd), ...env },
    signal: new AbortController().signal,
    saveRequests: { count: 0 },
  };
  const code = await runCli(args, context);
  return { code, stdout, stderr, json: jsonLines(stdout) };
}
