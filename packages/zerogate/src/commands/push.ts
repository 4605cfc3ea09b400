/** `zerogate push RUN|ADAPTER OWNER/NAME`: an adapter to the Hub, with its settings, template and card, and nothing else. */
import { createInterface } from "node:readline/promises";
import { InputError } from "@zerogate/core";
import { formatBytes, isHubId } from "@zerogate/core/formats";
import { openHub, type Pushed, type PushedFile, push } from "@zerogate/hub";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { describeRows } from "./inspect/facts.ts";
import { pushedFiles } from "./pushed_files.ts";

export interface PushFlags {
  readonly private?: boolean;
  readonly createPr?: boolean;
  readonly base?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function pushCommand(
  source: string,
  name: string,
  flags: PushFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const attempt = `Cannot push to ${name}`;
  for (const id of [name, flags.base ?? name]) {
    if (!isHubId(id))
      throw new InputError(attempt, `${JSON.stringify(id)} is no name on the Hub, needed is OWNER/NAME`);
  }
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const files = await pushedFiles(source, flags.base, onNote);
  const hub = openHub({ env: context.env });
  try {
    const { private: isPrivate = false, createPr: isPullRequest = false, yes = false, json = false } = flags;
    const way = isPullRequest ? "as a pull request" : isPrivate ? "private, if it is new" : "public, if it is new";
    onNote(`To ${hub.endpoint}/${name}, ${way}:`);
    onNote(describeRows(files.map(({ path, content }) => [path, formatBytes(content.length)])).trimEnd());
    if (!yes && !(await isAnsweredYes(context))) {
      throw new InputError(attempt, "it was not answered with y: nothing was pushed, --yes pushes without a question");
    }
    const title = `Upload a LLaMA-Adapter with zerogate`;
    const pushed = await push(name, files, { isPrivate, isPullRequest, title, signal: context.signal }, hub);
    if (json) printJson(context, { kind: "push", ...pushed, files: files.map(({ path }) => path) });
    else context.stdout.write(describe(pushed, files));
    return 0;
  } finally {
    await hub.close();
  }
}

async function isAnsweredYes({ stdin, stderr, signal }: CommandContext): Promise<boolean> {
  stderr.write("Push these files? [y/N] ");
  const lines = createInterface({ input: stdin, terminal: false });
  const stop = () => lines.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const line of lines) return /^y(?:es)?$/i.test(line.trim());
    signal.throwIfAborted();
    return false;
  } finally {
    signal.removeEventListener("abort", stop);
    lines.close();
  }
}

function describe({ url, commit, pullRequest, isNew }: Pushed, files: readonly PushedFile[]): string {
  return describeRows([
    ["pushed", `${files.length} files to ${url}${isNew ? ", which is new" : ""}`],
    ["commit", commit],
    ...(pullRequest === undefined ? [] : [["pull request", pullRequest] as const]),
  ]);
}
