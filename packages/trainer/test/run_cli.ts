/** Runs a command line in this process, as if nobody watched. */
import { runCli } from "../src/cli.ts";

export interface Answered {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function run(...argv: readonly string[]): Promise<Answered> {
  let [stdout, stderr] = ["", ""];
  const code = await runCli(argv, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text), columns: 80 },
    stdin: process.stdin,
    env: {},
    signal: new AbortController().signal,
    saveRequests: { count: 0 },
  });
  return { code, stdout, stderr };
}
