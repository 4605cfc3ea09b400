/** Requests the missing bytes of a file, and checks the answer before it appends them. */
import { problemOf, textOf } from "./answer_problem.ts";
import { eachChunk } from "./each_chunk.ts";
import type { Hub, HubAnswer } from "./hub.ts";
import { failureOf, HubFailure } from "./hub_failure.ts";
import type { RepoFile } from "./list_repo.ts";
import type { PartialFile } from "./partial_file.ts";
import type { RepoName } from "./repo_name.ts";

/** What comes slower than this is asked for anew. */
const SLOW_MS = 30_000;
const LEAST_BYTES = 30_000;

/** A file at a commit. */
export interface WantedFile {
  readonly name: RepoName;
  readonly commit: string;
  readonly file: RepoFile;
}

interface Asked extends WantedFile {
  /** Begins the message of an `InputError`. */
  readonly attempt: string;
}

interface Listener {
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
  /** The tag of the content that came so far, by which the next request asks for more of the same. */
  readonly served: { etag: string | undefined };
}

/** Begins a file anew. */
export async function restart(partial: PartialFile, { onBytes }: Pick<Listener, "onBytes">): Promise<void> {
  onBytes(-partial.bytes);
  await partial.restart();
}

/** Returns the address of a file's bytes, as a path of the Hub. */
export function resolvePath({ name, commit, file }: WantedFile): string {
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  return `${name.kind === "dataset" ? "/datasets" : ""}/${name.id}/resolve/${commit}/${path}`;
}

/** @throws HubFailure if not all of them come, InputError for what the Hub refuses, what the disk says. */
export async function appendRest(hub: Hub, asked: Asked, partial: PartialFile, listener: Listener): Promise<void> {
  const { file } = asked;
  const { onBytes, signal, served } = listener;
  const { etag } = served;
  const range = { range: `bytes=${partial.bytes}-`, ...(etag !== undefined && { "if-range": etag }) };
  const slow = new AbortController();
  const answer = await hub.ask(resolvePath(asked), {
    headers: partial.bytes > 0 ? range : {},
    signal: AbortSignal.any([signal, slow.signal]),
  });
  try {
    await checkAnswer(answer, hub, asked, partial, listener);
  } catch (error) {
    await answer.drop();
    throw error;
  }
  const tag = textOf(answer.headers["etag"]);
  served.etag = /^"[^"]+"$/.test(tag) ? tag : undefined; // a weak tag names no bytes
  let recent = 0;
  const watch = setInterval(() => {
    if (recent < LEAST_BYTES) slow.abort();
    recent = 0;
  }, SLOW_MS);
  const own = new URL(hub.endpoint);
  try {
    await eachChunk(answer.body, async (chunk) => {
      if (partial.bytes + chunk.length > file.bytes) throw new HubFailure(`more than its ${file.bytes} bytes come`);
      await partial.append(chunk);
      onBytes(chunk.length);
      recent += chunk.length;
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (isOfDisk(cause)) throw cause;
    throw slow.signal.aborted ? new HubFailure(`${own.host} is too slow`, { isPassing: true }) : failureOf(cause, own);
  } finally {
    clearInterval(watch);
    await answer.drop();
  }
  if (partial.bytes === file.bytes) return;
  throw new HubFailure(`its bytes end at ${partial.bytes} of ${file.bytes}`, { isPassing: true });
}

/** Whether it was the disk that refused, not the server. */
export const isOfDisk = (error: unknown): boolean =>
  error instanceof Error && "syscall" in error && (error.syscall === "write" || error.syscall === "ftruncate");

/** Whether the bytes that follow are those that are missing; if all of them come again, the file begins anew. */
async function checkAnswer(
  answer: HubAnswer,
  hub: Hub,
  { name, file, attempt }: Asked,
  partial: PartialFile,
  listener: Listener,
): Promise<void> {
  const { status, headers, ownHeaders } = answer;
  if (status === 416) {
    await restart(partial, listener);
    throw new HubFailure("the server knows fewer bytes of it than are here", { isPassing: true });
  }
  if (status !== 200 && status !== 206) throw problemOf(attempt, name, hub, answer);
  const encoding = textOf(headers["content-encoding"]);
  if (encoding !== "" && encoding !== "identity") {
    throw new HubFailure(`the server sends it as ${encoding}, which was not asked for`);
  }
  const linked = textOf(ownHeaders["x-linked-etag"]).replace(/^(?:W\/)?"?|"$/g, "");
  if (/^[0-9a-f]+$/.test(linked) && linked !== file.hash) {
    throw new HubFailure(`it changed while it was downloaded (the listing has ${file.hash}, the file ${linked})`);
  }
  if (status === 206) {
    const [, begin, , total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(textOf(headers["content-range"])) ?? [];
    if (Number(begin) === partial.bytes && Number(total) === file.bytes) return;
    await restart(partial, listener);
    throw new HubFailure("the server sends another part than that which is missing", { isPassing: true });
  }
  const length = textOf(headers["content-length"]);
  if (length !== "" && Number(length) !== file.bytes) {
    throw new HubFailure(`the server has ${length} bytes of it, the listing ${file.bytes}`);
  }
  if (partial.bytes > 0) await restart(partial, listener);
}
