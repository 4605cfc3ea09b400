/** `@zerogate/hub`: repositories of the Hugging Face hub, listed, fetched into the cache that Python shares, and checked. */
export { type Downloaded, type DownloadOptions, download } from "./download.ts";
export { type Hub, type HubAnswer, type HubOptions, type HubRequest, openHub } from "./hub.ts";
export type { Environment } from "./hub_settings.ts";
export { listRepo, type RepoFile, type RepoListing } from "./list_repo.ts";
export { type Pushed, type PushedFile, type PushOptions, push } from "./push.ts";
export { openRemoteFolder, type RemoteFolder } from "./remote_folder.ts";
export type { RepoKind, RepoName } from "./repo_name.ts";
export type { FilePatterns } from "./select_files.ts";
