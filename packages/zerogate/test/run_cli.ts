/** Runs a command line in this process, as if nobody watched. */
import { runCli } from "../src/cli.ts";
import { recorded } from "./recorded.ts";

export interface Answered {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function run(...argv: readonly string[]): Promise<Answered> {
  let [stdout, stderr] = ["", ""];
  const code = await runCli(argv, {
    ...recorded(
      (text) => (stdout += text),
      (text) => (stderr += text),
    ),
    stdin: process.stdin,
    env: {},
    signal: new AbortController().signal,
    saveRequests: { count: 0 },
  });
  return { code, stdout, stderr };
}
