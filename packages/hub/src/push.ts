/** Files to a repository of the Hub, as one commit or as a request for one, through `@huggingface/hub`. */

import { commit, createRepo, HubApiError } from "@huggingface/hub";
import { InputError } from "@zerogate/core/light";
import { fetch } from "undici";
import type { Hub } from "./hub.ts";

/** A file of a commit. */
export interface PushedFile {
  readonly path: string;
  readonly content: Uint8Array;
}

/** How files are pushed. */
export interface PushOptions {
  /** Of a new repository. @default false, public */
  readonly isPrivate?: boolean;
  /** Asks the owner of a repository that exists to take them. @default false */
  readonly isPullRequest?: boolean;
  /** First line of the commit. */
  readonly title: string;
  /** @default never aborted */
  readonly signal?: AbortSignal;
}

/** Where they are now. */
export interface Pushed {
  readonly url: string;
  readonly commit: string;
  /** Address of the request, if it is one. */
  readonly pullRequest: string | undefined;
  /** The repository was made for them. */
  readonly isNew: boolean;
}

/**
 * Commits files to a model's repository, which is made if it is not there.
 *
 * @throws InputError without a token, or if this one may not do it; an Error for what fails.
 */
export async function push(
  id: string,
  files: readonly PushedFile[],
  { isPrivate = false, isPullRequest = false, title, signal = new AbortController().signal }: PushOptions,
  hub: Hub,
): Promise<Pushed> {
  const attempt = `Cannot push to ${id}`;
  const { endpoint: hubUrl, token: accessToken, dispatcher } = hub;
  const login = `set HF_TOKEN to a token that may write, of ${hubUrl}/settings/tokens, or log in with hf auth login`;
  if (accessToken === undefined) throw new InputError(attempt, `the Hub has to know who you are: ${login}`);
  const repo = { type: "model", name: id } as const;
  const own = ((address: string | URL, init: object = {}) => fetch(address, { ...init, dispatcher })) as never;
  const common = { repo, hubUrl, accessToken, fetch: own };
  try {
    const isNew = isPullRequest ? false : await makeRepo({ ...common, visibility: isPrivate ? "private" : "public" });
    const operations = files.map(({ path, content }) => {
      return { operation: "addOrUpdate", path, content: new Blob([Uint8Array.from(content)]) } as const;
    });
    const plain = { useXet: false }; // some megabytes, for which Xet's pieces gain nothing
    const made = await commit({ ...common, ...plain, title, operations, isPullRequest, abortSignal: signal });
    const oid = made?.commit.oid ?? "";
    return { url: `${hubUrl}/${id}`, commit: oid, pullRequest: made?.pullRequestUrl, isNew };
  } catch (error) {
    signal.throwIfAborted();
    throw problemOfPush(attempt, login, error, accessToken);
  }
}

/** Returns whether it is new; one that is there is fine. */
async function makeRepo(wanted: Parameters<typeof createRepo>[0]): Promise<boolean> {
  try {
    await createRepo(wanted);
    return true;
  } catch (error) {
    if (error instanceof HubApiError && error.statusCode === 409) return false;
    throw error;
  }
}

function problemOfPush(attempt: string, login: string, cause: unknown, token: string): Error {
  const said = (cause instanceof Error ? cause.message : String(cause)).replaceAll(token, "…").slice(0, 300);
  const status = cause instanceof HubApiError ? cause.statusCode : undefined;
  if (status === 401) return new InputError(attempt, `the Hub does not take this token: ${login}`, { cause });
  if (status === 403) return new InputError(attempt, `this token may not write there (${said}): ${login}`, { cause });
  if (status === 404)
    return new InputError(attempt, "the Hub has no such repository, or you may not see it", { cause });
  return new Error(`${attempt}: ${said}`, { cause });
}
