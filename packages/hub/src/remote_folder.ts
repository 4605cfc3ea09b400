/**
 * A repository as a folder of this machine that holds what is small, and of weights their names, types and shapes: whatever describes a
 * folder describes the repository, before anything of size is fetched.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fetchBlob } from "./fetch_blob.ts";
import { fetchRange } from "./fetch_range.ts";
import type { Hub } from "./hub.ts";
import { listRepo, type RepoFile, type RepoListing } from "./list_repo.ts";
import { isDescribed, writeHeader } from "./remote_weights.ts";
import type { RepoName } from "./repo_name.ts";
import { type FilePatterns, neededFiles } from "./select_files.ts";

/** A tokenizer of 256,000 tokens has 35 MB. */
const MAX_SMALL_BYTES = 64 * 2 ** 20;

/** A folder without the numbers of the weights. `remove` takes it away. */
export interface RemoteFolder {
  /** Of the folder, or of the one in it that the name has. */
  readonly path: string;
  readonly listing: RepoListing;
  /** What a download would fetch. */
  readonly needed: readonly RepoFile[];
  /** Pickled weights that are described beside these: a download takes them if a pattern asks for them. */
  readonly pickled: readonly RepoFile[];
  /** Takes it away. */
  remove(): Promise<void>;
}

/**
 * Makes such a folder. Weights are files of their whole size that take no room on the disk.
 *
 * @param options.attempt begins messages, for example `Cannot inspect Qwen/Qwen3-0.6B`.
 * @throws InputError for what the Hub refuses, an Error for what fails.
 */
export async function openRemoteFolder(
  name: RepoName,
  options: FilePatterns & {
    readonly attempt: string;
    readonly signal: AbortSignal;
    readonly onNote?: (note: string) => void;
  },
  hub: Hub,
): Promise<RemoteFolder> {
  const { attempt, signal, onNote = () => {} } = options;
  const listing = await listRepo(hub, name, attempt, signal);
  const needed = neededFiles(listing, options, attempt);
  const pickled = pickles(listing, needed);
  const folder = await mkdtemp(join(tmpdir(), "zerogate-remote-"));
  const remove = async () => await rm(folder, { recursive: true, force: true });
  try {
    for (const file of [...needed, ...pickled]) {
      const target = join(folder, ...file.path.split("/"));
      await mkdir(dirname(target), { recursive: true });
      const wanted = { name, commit: listing.commit, file, target };
      if (isDescribed(file.path)) {
        const read = (begin: number, end: number) => fetchRange(hub, wanted, [begin, end], attempt, signal);
        await writeHeader({ path: file.path, bytes: file.bytes, read }, target);
      } else if (file.bytes <= MAX_SMALL_BYTES) await fetchBlob(hub, wanted, { onBytes: () => {}, onNote, signal });
    }
  } catch (error) {
    await remove();
    throw error;
  }
  const path = name.path === undefined ? folder : join(folder, ...name.path.split("/"));
  return { path, listing, needed, pickled, remove };
}

/** Pickled weights, which a download leaves out: they are looked at if there are no others. */
function pickles({ name, files }: RepoListing, needed: readonly RepoFile[]): readonly RepoFile[] {
  if (name.kind !== "model" || needed.some(({ path }) => /\.(?:safetensors|gguf)$/i.test(path))) return [];
  const prefix = name.path === undefined ? "" : `${name.path}/`;
  return files.filter(
    ({ path }) => path.startsWith(prefix) && /^pytorch_model[^/]*\.bin$/.test(path.slice(prefix.length)),
  );
}
