/** Names of repositories on the Hugging Face hub, and the folders that its cache gives them. */

/** By the Hub's own rule, of at most 96 characters on either side. A single word may as well be a folder. */
const id =
  /^(?!.*(?:--|\.\.))(?!.*\.git$)[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?\/[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;
/** A snapshot in the cache, whose folder has the name of the model. */
const snapshot = /(?:^|[\\/])models--(.+)[\\/]snapshots[\\/]([0-9a-f]{40})[\\/]?$/;

/** Whether a text is a name on the Hub, as `OWNER/NAME`. */
export function isHubId(text: string): boolean {
  return id.test(text);
}

/** A model on the Hub, and which commit of it. */
export interface HubCommit {
  readonly id: string;
  readonly commit: string;
}

/** Returns the model whose snapshot in the Hub's cache a path is; undefined for every other path. */
export function hubCommitOf(path: string): HubCommit | undefined {
  const [, folder, commit] = snapshot.exec(path) ?? [];
  const name = folder?.replace("--", "/");
  return name !== undefined && commit !== undefined && isHubId(name) ? { id: name, commit } : undefined;
}
