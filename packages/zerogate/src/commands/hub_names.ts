/** Names of the Hub in flags and configs: what is not in its cache is fetched with `--download`. */
import { InputError } from "@zerogate/core";
import type { RepoName } from "@zerogate/hub/light";
import { hubPlace, resolveConfig, type TrainConfig } from "@zerogate/run-config";
import type { CommandContext } from "./context.ts";

/** With `--download`, fetches those of the names that are repositories of the Hub and not in its cache. */
export async function fetchMissing(
  named: readonly (string | undefined)[],
  isWanted: boolean | undefined,
  context: CommandContext,
): Promise<void> {
  if (!isWanted) return;
  for (const given of named) {
    const place = given === undefined ? undefined : hubPlace(given.replace(/=[^=/]*$/, ""));
    if (place !== undefined && "missing" in place) await fetchRepo(place.missing, context);
  }
}

/** A config whose names of the Hub are fetched first with `--download`, unless something else is wrong with it. */
export async function resolveNamed(
  sources: Parameters<typeof resolveConfig>[0],
  isWanted: boolean | undefined,
  context: CommandContext,
): Promise<TrainConfig> {
  const missing: RepoName[] = [];
  try {
    return resolveConfig({ ...sources, onMissing: (name) => missing.push(name) });
  } catch (error) {
    const isOther = !(error instanceof InputError) || error.problems.length > missing.length;
    if (!isWanted || missing.length === 0 || isOther) throw error;
  }
  for (const name of missing) await fetchRepo(name, context);
  return resolveConfig(sources);
}

/** Loads what speaks to the Hub only when something is fetched: it is a third of all modules of a start. */
async function fetchRepo(name: RepoName, context: CommandContext): Promise<void> {
  const { fetchShown } = await import("./hub_download.ts");
  await fetchShown(name, {}, context);
}
