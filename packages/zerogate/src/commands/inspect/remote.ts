/** A repository of the Hub, described before it is downloaded: what its listing, its settings and the headers of its weights say. */
import { formatBytes } from "@zerogate/core/formats";
import { isGgufFile } from "@zerogate/core/node";
import { openHub, openRemoteFolder, type RemoteFolder } from "@zerogate/hub";
import { type RepoName, writeRepoName } from "@zerogate/hub/light";
import { ownCommand } from "@zerogate/run-config";
import type { CommandContext } from "../context.ts";
import type { Facts } from "./facts.ts";
import { inspectFolder } from "./folders.ts";
import { inspectModel } from "./model_folder.ts";
import type { RunFacts } from "./run.ts";

/** Names on stderr the server that it asks; nothing stays on this machine. */
export async function inspectRemote(name: RepoName, context: CommandContext): Promise<Facts> {
  const attempt = `Cannot inspect ${writeRepoName(name)}`;
  return await withRemote(name, attempt, context, async (remote) => {
    const onNote = (note: string) => context.stderr.write(`${note}\n`);
    const isFile = await isGgufFile(remote.path);
    const facts = isFile ? await inspectModel(remote.path) : await inspectFolder(remote.path, onNote);
    return described(name, remote, facts);
  });
}

/** Lends out a folder that describes a repository, for as long as `work` takes. */
export async function withRemote<T>(
  name: RepoName,
  attempt: string,
  { env, stderr, signal }: CommandContext,
  work: (remote: RemoteFolder) => Promise<T>,
): Promise<T> {
  const hub = openHub({ env });
  try {
    stderr.write(`${name.id} is not here: ${hub.endpoint} is asked what it is; its weights are not fetched\n`);
    const onNote = (note: string) => stderr.write(`${note}\n`);
    const remote = await openRemoteFolder(name, { attempt, signal, onNote }, hub);
    try {
      return await work(remote);
    } finally {
      await remote.remove();
    }
  } finally {
    await hub.close();
  }
}

/** Facts of the folder under the name of the repository, with what the Hub says of it. */
function described(name: RepoName, { path, listing, needed, pickled }: RemoteFolder, found: Facts | RunFacts): Facts {
  const written = writeRepoName(name);
  const renamed = JSON.parse(JSON.stringify(found).replaceAll(JSON.stringify(path).slice(1, -1), written)) as Facts;
  const bytes = [...needed, ...pickled].reduce((sum, file) => sum + file.bytes, 0);
  const line = ownCommand`download ${written}`;
  const { problems } = renamed as { readonly problems?: readonly string[] };
  return {
    ...renamed,
    path: written,
    commit: listing.commit,
    license: listing.license,
    gated: listing.isGated || undefined,
    download: `${needed.length + pickled.length} of ${listing.files.length} files, ${formatBytes(bytes)}`,
    next:
      problems === undefined || problems.length === 0
        ? `${line}${pickled.length > 0 ? " --include 'pytorch_model*.bin'" : ""}`
        : undefined,
  };
}
