/** The built `zerogate` command as a process of its own, as a user starts it. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const bin = fileURLToPath(new URL("../../packages/zerogate/dist/bin.js", import.meta.url));

type JsonLine = Readonly<Record<string, unknown>>;

export interface Outcome {
  /** null if a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of stdout that are JSON objects. */
  readonly json: readonly JsonLine[];
}

export interface Call {
  readonly cwd: string;
  /** Variables to set, or with undefined to take away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Runs the command as this user, which only root may. */
  readonly uid?: number;
  /** How many files the process may have open. */
  readonly openFiles?: number;
  /** All of stdin, by default empty; undefined leaves it open, like a user who does not type. */
  readonly input?: string | undefined;
  /** Called with every line of stdout and stderr as it comes; `send` signals the process, `leave` closes its stdout. */
  readonly onLine?: (line: string, send: (signal: NodeJS.Signals) => void, leave: () => void) => void;
  /** Called once the process is started. */
  readonly onStart?: (send: (signal: NodeJS.Signals) => void) => void;
  /** The process is killed and the promise rejects after it. Default: 14 minutes: a limit for hangs, on the busiest of machines. */
  readonly timeoutMs?: number;
}

/** Runs `zerogate` in `cwd`; its token cache is there too, not the user's. */
export async function zerogate(args: readonly string[], call: Call): Promise<Outcome> {
  if (!existsSync(bin)) throw new Error(`Cannot run zerogate: ${bin} is not built, run pnpm build`);
  const { cwd, env, uid, openFiles, input, onStart, onLine, timeoutMs = 840_000 } = { input: "", ...call };
  const command = [process.execPath, bin, ...args];
  const limited = openFiles === undefined ? [] : ["sh", "-c", `ulimit -n ${openFiles}; exec "$0" "$@"`];
  const [program = "", ...words] = [...limited, ...command];
  const child = spawn(program, words, {
    cwd,
    env: { ...environmentIn(cwd), ...env },
    ...(uid !== undefined && { uid, gid: uid }),
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  try {
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    child.stdin.on("error", () => {}); // the process may end without reading it
    if (input !== undefined) child.stdin.end(input);
    const send = (signal: NodeJS.Signals) => void child.kill(signal);
    onStart?.(send);
    const leave = () => void child.stdout.destroy();
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      if (onLine) createInterface({ input: stream }).on("line", (line) => onLine(line, send, leave));
      return () => Buffer.concat(chunks).toString();
    }) as [() => string, () => string];
    const code = await ended;
    if (isLate) throw new Error(`zerogate ${args.join(" ")} did not end within ${timeoutMs} ms:\n${stderr()}`);
    return { code, stdout: stdout(), stderr: stderr(), json: jsonLines(stdout()) };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

/** The environment of a user whose token cache lies in `cwd`, without what a test runner, `npm test` or CI sets. */
export function environmentIn(cwd: string): NodeJS.ProcessEnv {
  const { CI: _, NO_COLOR: __, ZEROGATE_LOG_LEVEL: ___, ...others } = process.env;
  const inherited = Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith("npm_")));
  return { ...inherited, XDG_CACHE_HOME: join(cwd, "cache") };
}

/** A folder for one test file, removed after it. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function jsonLines(text: string): JsonLine[] {
  return text.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as JsonLine] : []));
}
