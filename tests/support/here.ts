/** The `zerogate` command in this process: the same words and answers as `cli.ts`, without the start of a process. */
import { Readable } from "node:stream";
import { runCli } from "../../packages/zerogate/dist/index.js";
import { recorded } from "../../packages/zerogate/test/recorded.ts";
import { type Call, environmentIn, jsonLines, type Outcome } from "./cli.ts";

/** `onLine` may send SIGINT, which asks a command to end as Ctrl-C does; other signals and readers that leave need a process. */
type CallHere = Pick<Call, "cwd" | "env" | "input" | "onLine">;

/**
 * Runs `zerogate` in `cwd`, which becomes the folder of this test process; the token cache lies there too. For tests of what a command
 * answers and writes. Signals, open files, users and output that is cut off need a process: `zerogate` of `cli.ts`.
 */
export async function zerogateHere(
  args: readonly string[],
  { cwd, env, input = "", onLine }: CallHere,
): Promise<Outcome> {
  if (process.cwd() !== cwd) process.chdir(cwd);
  const interrupt = new AbortController();
  const send = (signal: NodeJS.Signals) => {
    if (signal !== "SIGINT") throw new Error(`Cannot send ${signal}: only SIGINT has a meaning here, start a process`);
    interrupt.abort();
  };
  const leave = () => {
    throw new Error("Cannot leave: output is kept in memory here, start a process");
  };
  const [stdout, stderr] = [gather(), gather()];
  function gather() {
    let [all, line] = ["", ""];
    const add = (text: string) => {
      all += text;
      const lines = `${line}${text}`.split("\n");
      line = lines.pop() ?? "";
      for (const whole of lines) onLine?.(whole, send, leave);
    };
    return { add, text: () => all };
  }
  const code = await runCli(args, {
    ...recorded(stdout.add, stderr.add),
    stdin: Readable.from(input === "" ? [] : [input]),
    env: { ...environmentIn(cwd), ...env },
    signal: interrupt.signal,
    saveRequests: { count: 0 },
  });
  return { code, stdout: stdout.text(), stderr: stderr.text(), json: jsonLines(stdout.text()) };
}
