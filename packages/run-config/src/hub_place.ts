/** What is named as a model, tower or adapter: a place on this machine, or a repository of the Hub, of which the cache is asked alone. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { InputError } from "@zerogate/core";
import { type HubCommit, hubCommitOf } from "@zerogate/core/formats";
import { cachedPlace, parseRepoName, type RepoName, writeRepoName } from "@zerogate/hub/light";
import { ownCommand } from "./own_command.ts";

/** Where the cache has what a name means, or which repository it lacks. */
export type HubPlace = { readonly path: string } | { readonly missing: RepoName; readonly problem: string };

/**
 * Looks a name of the Hub up in the cache. Returns undefined for whatever is a path: something is there, or the folder above it.
 * @param folder where relative paths begin.
 */
export function hubPlace(given: string, folder = "."): HubPlace | undefined {
  const name = parseRepoName(given);
  if (name === undefined || existsSync(resolve(folder, given))) return undefined;
  const cached = cachedPlace(name);
  if (cached !== undefined) return { path: cached.path };
  if (existsSync(dirname(resolve(folder, given)))) return undefined;
  const way = `${ownCommand`download ${writeRepoName(name)}`} fetches it`;
  return { missing: name, problem: `it is no folder here, and the Hub's cache has none of this name: ${way}` };
}

/** Returns the path that is meant. @throws InputError for a repository that the cache lacks. */
export function localPlace(given: string, attempt: string): string {
  const place = hubPlace(given);
  if (place === undefined) return given;
  if ("path" in place) return place.path;
  throw new InputError(attempt, place.problem);
}

/** Returns the model of the Hub that a folder is a snapshot of, if its name leads back to this folder. */
export function hubNameOf(folder: string): HubCommit | undefined {
  const found = hubCommitOf(folder);
  if (found === undefined) return undefined;
  const cached = cachedPlace({ kind: "model", id: found.id, revision: found.commit });
  return cached?.path === folder ? found : undefined;
}
