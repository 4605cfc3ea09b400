/**
 * A repository as a folder of this machine that holds what is small, and of weights their names, types and shapes: whatever describes a
 * folder describes the repository, before anything of size is fetched.
 */
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isZerogateError } from "@zerogate/core/light";
import { problemOf } from "./answer_problem.ts";
import { resolvePath } from "./append_rest.ts";
import { fetchBlob } from "./fetch_blob.ts";
import type { Hub } from "./hub.ts";
import { failureOf, HubFailure } from "./hub_failure.ts";
import { listRepo, type RepoFile, type RepoListing } from "./list_repo.ts";
import { openPatience } from "./patience.ts";
import type { RepoName } from "./repo_name.ts";
import { type FilePatterns, neededFiles } from "./select_files.ts";

/** A tokenizer of 256,000 tokens has 35 MB. */
const MAX_SMALL_BYTES = 64 * 2 ** 20;
/** Most headers of weights are in the first part. */
const FIRST_BYTES = 64 * 2 ** 10;
/** As readers of safetensors have it. */
const MAX_HEADER_BYTES = 100_000_000;

const weights = /\.safetensors$/i;

/** A folder without the numbers of the weights. `remove` takes it away. */
export interface RemoteFolder {
  /** Of the folder, or of the one in it that the name has. */
  readonly path: string;
  readonly listing: RepoListing;
  /** What a download would fetch. */
  readonly needed: readonly RepoFile[];
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
  const folder = await mkdtemp(join(tmpdir(), "zerogate-remote-"));
  const remove = async () => await rm(folder, { recursive: true, force: true });
  try {
    for (const file of needed) {
      const target = join(folder, ...file.path.split("/"));
      await mkdir(dirname(target), { recursive: true });
      const wanted = { name, commit: listing.commit, file, target };
      if (weights.test(file.path)) await fetchHeader(hub, wanted, attempt, signal);
      else if (file.bytes <= MAX_SMALL_BYTES) await fetchBlob(hub, wanted, { onBytes: () => {}, onNote, signal });
    }
  } catch (error) {
    await remove();
    throw error;
  }
  const path = name.path === undefined ? folder : join(folder, ...name.path.split("/"));
  return { path, listing, needed, remove };
}

type Wanted = Parameters<typeof fetchBlob>[1];

/** The header of a file of weights, at its place in a file of its size. */
async function fetchHeader(hub: Hub, wanted: Wanted, attempt: string, signal: AbortSignal): Promise<void> {
  const { file, target } = wanted;
  const first = await fetchStart(hub, wanted, Math.min(FIRST_BYTES, file.bytes), attempt, signal);
  const length = first.length < 8 ? 0 : Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  const end = Math.min(8 + length, file.bytes, MAX_HEADER_BYTES + 8);
  const head = end > first.length ? await fetchStart(hub, wanted, end, attempt, signal) : first.subarray(0, end);
  await writeFile(target, head);
  await truncate(target, file.bytes);
}

/** The first bytes of a file; a server that sends more of it is not read further. */
async function fetchStart(
  hub: Hub,
  wanted: Wanted,
  bytes: number,
  attempt: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const patience = openPatience(hub, `${attempt}: ${wanted.file.path}`, signal);
  for (;;) {
    try {
      const answer = await hub.ask(resolvePath(wanted), { headers: { range: `bytes=0-${bytes - 1}` }, signal });
      if (answer.status !== 200 && answer.status !== 206) {
        await answer.drop();
        throw problemOf(attempt, wanted.name, hub, answer);
      }
      const chunks: Uint8Array[] = [];
      let missing = bytes;
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
        chunks.push(chunk.subarray(0, missing));
        missing -= Math.min(missing, chunk.length);
        if (missing === 0) break;
      }
      if (missing === 0) return new Uint8Array(Buffer.concat(chunks));
      throw new HubFailure(`the server ends ${missing} bytes early`, { isPassing: true });
    } catch (error) {
      signal.throwIfAborted();
      await patience.after(isZerogateError(error) ? error : failureOf(error, new URL(hub.endpoint)));
    }
  }
}
