/** What the Hub's cache on this machine holds, whoever wrote it: `models--OWNER--NAME/{blobs, refs, snapshots/COMMIT}`. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { readRegularFileSync } from "@zerogate/core/node";
import { type Environment, hubCacheFolder } from "./hub_settings.ts";
import { commitPattern, type RepoName } from "./repo_name.ts";

/** A ref is one commit. */
const MAX_REF_BYTES = 1000;

/** Returns the folder of a repository in a cache. */
export function repoFolder(cache: string, { kind, id }: Pick<RepoName, "kind" | "id">): string {
  return join(cache, `${kind}s--${id.replace("/", "--")}`);
}

/** A snapshot of a repository, or a folder or file in one. */
export interface CachedPlace {
  readonly path: string;
  readonly commit: string;
}

/** Finds what the cache has under a name; undefined if it has none of this revision. Asks nobody. */
export function cachedPlace(name: RepoName, env: Environment = process.env): CachedPlace | undefined {
  const cache = hubCacheFolder(env);
  if (cache === undefined) return undefined;
  const repo = repoFolder(cache, name);
  const commit = cachedCommit(repo, name.revision);
  if (commit === undefined) return undefined;
  const snapshot = join(repo, "snapshots", commit);
  if (statSync(snapshot, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  const path = name.path === undefined ? snapshot : join(snapshot, ...name.path.split("/"));
  return existsSync(path) ? { path, commit } : undefined;
}

function cachedCommit(repo: string, revision: string): string | undefined {
  if (commitPattern.test(revision)) return revision;
  const path = join(repo, "refs", ...revision.split("/"));
  if (!existsSync(path)) return undefined;
  const text = readRegularFileSync(path, MAX_REF_BYTES).toString("utf8").trim();
  return commitPattern.test(text) ? text : undefined;
}
