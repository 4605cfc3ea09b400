/** `@zerogate/hub/light`: names of the Hub and what its cache has of them; nothing is asked of anybody. */
export { type CachedPlace, cachedPlace } from "./cache_folders.ts";
export { type Environment, hubCacheFolder, isOffline } from "./hub_settings.ts";
export { parseRepoName, type RepoKind, type RepoName, writeRepoName } from "./repo_name.ts";
