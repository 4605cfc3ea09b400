/** `zerogate download OWNER/NAME`: what is needed of a repository of the Hub, into the cache that Python shares. */
import { InputError } from "@zerogate/core";
import { formatBytes } from "@zerogate/core/formats";
import type { Downloaded } from "@zerogate/hub";
import { parseRepoName, type RepoName, writeRepoName } from "@zerogate/hub/light";
import { ownCommand } from "@zerogate/run-config";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { fetchShown } from "./hub_download.ts";
import { describeRows, type Row } from "./inspect/facts.ts";

export interface DownloadFlags {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly to?: string;
  readonly dataset?: boolean;
  readonly json?: boolean;
}

export async function downloadCommand(
  text: string,
  { include = [], exclude = [], to, dataset = false, json = false }: DownloadFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const name = repoNamed(text, `Cannot download ${text}`, dataset);
  const downloaded = await fetchShown(name, { include, exclude, to }, context);
  if (json) printJson(context, { kind: "download", name: name.id, revision: name.revision, ...downloaded });
  else context.stdout.write(describeRows(rowsOf(name, downloaded, to)));
  return 0;
}

/** @throws InputError for a text that names no repository. */
export function repoNamed(text: string, attempt: string, isDataset = false): RepoName {
  const name = parseRepoName(text, isDataset ? "dataset" : "model");
  if (name !== undefined) return name;
  throw new InputError(
    attempt,
    "it is no name on the Hub, needed is OWNER/NAME, OWNER/NAME@REVISION or OWNER/NAME:FOLDER",
  );
}

const MAX_NAMED = 8;

function rowsOf(
  name: RepoName,
  { path, commit, files, fetched, leftOut, license }: Downloaded,
  to: string | undefined,
): Row[] {
  const bytes = (all: readonly { readonly bytes: number }[]) =>
    formatBytes(all.reduce((sum, one) => sum + one.bytes, 0));
  const few = leftOut.slice(0, MAX_NAMED).map((file) => file.path);
  const rest = leftOut.length > few.length ? `, … (${leftOut.length} files)` : "";
  const here = fetched.length === 0 ? "all of them were here" : `${bytes(fetched)} came now`;
  return [
    [name.kind, `${name.id} at ${commit} (${name.revision})`],
    ...(license === undefined ? [] : [["license", license] as const]),
    ["files", `${files.length}, ${bytes(files)}: ${here}, hashes as on the Hub`],
    ...(leftOut.length === 0 ? [] : [["left on the Hub", `${few.join(", ")}${rest}`] as const]),
    ["path", path],
    ...(name.kind === "model"
      ? [
          [
            "next",
            `${ownCommand`train --model ${to === undefined ? writeRepoName(name) : path}`} --data DATA.json --out RUN`,
          ] as const,
        ]
      : []),
  ];
}
