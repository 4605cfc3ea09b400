/** What people call a repository of the Hub: `OWNER/NAME[@REVISION][:FOLDER]`, or `OWNER/NAME/FILE.gguf[@REVISION]`. */
import { isHubId } from "@zerogate/core/formats";
import { pathProblem } from "./path_names.ts";

/** What a repository holds. */
export type RepoKind = "model" | "dataset";

/** A repository, or a part of it. */
export interface RepoName {
  readonly kind: RepoKind;
  /** `OWNER/NAME`. */
  readonly id: string;
  /** Branch, tag or commit; "main" if nobody names one. */
  readonly revision: string;
  /** A folder or file in it; undefined for all of it. */
  readonly path?: string | undefined;
}

/** A commit, as the Hub and its cache write it. */
export const commitPattern: RegExp = /^[0-9a-f]{40}$/;

const MAIN = "main";

const pattern = /^([^/@:]+\/[^/@:]+)(?:\/([^@:]+\.gguf))?(?:@([^@:]+))?(?::([^@:]+))?$/i;
/** Also the name of a file below `refs`. */
const revisionPattern = /^(?!.*(?:\.\.|\/\/|\/\.))\w(?:[\w.+/-]{0,198}[\w+-])?$/;

/** Returns what a text names; undefined if it is no name of the Hub. */
export function parseRepoName(text: string, kind: RepoKind = "model"): RepoName | undefined {
  const [, id, file, revision = MAIN, folder] = pattern.exec(text) ?? [];
  if (id === undefined || !isHubId(id) || !revisionPattern.test(revision)) return undefined;
  const path = file ?? folder;
  if ((file !== undefined && folder !== undefined) || (path !== undefined && pathProblem(path) !== undefined)) {
    return undefined;
  }
  return { kind, id, revision, ...(path !== undefined && { path }) };
}

/** Returns the text that `parseRepoName` reads. */
export function writeRepoName({ id, revision, path }: RepoName): string {
  return `${id}${revision === MAIN ? "" : `@${revision}`}${path === undefined ? "" : `:${path}`}`;
}
