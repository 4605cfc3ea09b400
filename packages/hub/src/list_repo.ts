/** What a repository holds at a commit, as the Hub lists it: names, sizes, and the hashes that contents must have. */
import { InputError } from "@zerogate/core/light";
import * as z from "zod";
import { askJson } from "./ask_json.ts";
import type { Hub } from "./hub.ts";
import { pathProblem } from "./path_names.ts";
import { commitPattern, type RepoName } from "./repo_name.ts";

/** More is no model, and no listing that a person waits for. */
const MAX_FILES = 200_000;
const MAX_BYTES = 2 ** 50;

/** A file of a repository. */
export interface RepoFile {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of a large file (LFS, Xet), else the SHA-1 that Git gives it: also its name among the cache's blobs. */
  readonly hash: string;
}

/** A repository at one commit. */
export interface RepoListing {
  readonly name: RepoName;
  readonly commit: string;
  readonly files: readonly RepoFile[];
  /** As its card says it; undefined if it does not. */
  readonly license: string | undefined;
  /** Its owner asks for consent. */
  readonly isGated: boolean;
}

const infoSchema = z.object({
  sha: z.string().regex(commitPattern),
  gated: z.union([z.boolean(), z.string()]).nullish(),
  cardData: z.object({ license: z.union([z.string(), z.array(z.string())]).nullish() }).nullish(),
});

const size = z.int().min(0).max(MAX_BYTES);
const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  oid: z.string(),
  size: size.nullish(),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size }).nullish(),
});

/**
 * Lists the files of a revision.
 *
 * @param attempt begins messages, for example `Cannot download Qwen/Qwen3-0.6B`.
 * @throws InputError for a name, token or consent that the Hub does not accept, and for a listing with names that lead elsewhere.
 */
export async function listRepo(hub: Hub, name: RepoName, attempt: string, signal: AbortSignal): Promise<RepoListing> {
  const repo = `/api/${name.kind}s/${name.id}`;
  const asked = { name, attempt, signal };
  const revision = encodeURIComponent(name.revision);
  const { value } = await askJson(hub, { ...asked, path: `${repo}/revision/${revision}`, schema: infoSchema });
  const { sha: commit, gated, cardData } = value;
  const files: RepoFile[] = [];
  const pages = new Set<string>();
  let next: string | undefined = `${repo}/tree/${commit}?recursive=true&expand=false`;
  while (next !== undefined) {
    if (pages.has(next)) throw new InputError(attempt, "the Hub's listing goes round in a circle: is it a Hub");
    pages.add(next);
    const page: { value: readonly z.infer<typeof entrySchema>[]; next: string | undefined } = await askJson(hub, {
      ...asked,
      path: next,
      schema: z.array(entrySchema),
    });
    for (const entry of page.value) if (entry.type === "file") files.push(fileOf(entry, attempt));
    if (files.length > MAX_FILES) {
      throw new InputError(attempt, `it lists more than ${MAX_FILES} files, which are not looked at`);
    }
    ({ next } = page);
  }
  checkPaths(files, attempt);
  const license = [cardData?.license ?? []].flat().join(", ");
  return { name, commit, files, license: license === "" ? undefined : license, isGated: Boolean(gated) };
}

function fileOf({ path, oid, size: bytes, lfs }: z.infer<typeof entrySchema>, attempt: string): RepoFile {
  if (lfs) return { path, bytes: lfs.size, hash: lfs.oid };
  if (commitPattern.test(oid) && typeof bytes === "number") return { path, bytes, hash: oid };
  throw new InputError(attempt, `the Hub lists ${JSON.stringify(path)} without size or hash: is it a Hub`);
}

/** What is listed twice would be two contents under one name. */
function checkPaths(files: readonly RepoFile[], attempt: string): void {
  const seen = new Set<string>();
  const problems = files.flatMap(({ path }) => {
    const isAgain = seen.has(path);
    seen.add(path);
    const problem = isAgain ? "is listed twice" : leadsOut(path) ? pathProblem(path) : undefined;
    return problem === undefined ? [] : [`it lists ${JSON.stringify(path).slice(0, 200)}, which ${problem}`];
  });
  if (problems.length > 0) throw new InputError(attempt, problems.slice(0, 20));
}

/** A name that is merely impossible somewhere matters if the file is wanted; one that leads elsewhere is an attack. */
const leadsOut = (path: string): boolean => /(?:^|[\\/])\.{1,2}(?:[\\/]|$)|^[\\/]|^[a-z]:|\p{Cc}|\\/iu.test(path);
