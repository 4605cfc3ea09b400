/** Downloads from the Hub as commands show them: what came, how fast, how long it still takes. */
import { formatBytes } from "@zerogate/core/formats";
import { type Downloaded, type DownloadOptions, download, type FilePatterns, openHub } from "@zerogate/hub";
import type { RepoName } from "@zerogate/hub/light";
import type { Phase } from "@zerogate/trainer";
import { formatDuration } from "@zerogate/trainer/command";
import { openStatus } from "../status/display.ts";
import type { CommandContext } from "./context.ts";

/** Fetches what is needed of a repository, shown while it comes. Stopped, what came is kept. */
export async function fetchShown(
  name: RepoName,
  wanted: FilePatterns & Pick<DownloadOptions, "to">,
  { env, stderr, signal }: CommandContext,
): Promise<Downloaded> {
  const hub = openHub({ env });
  const status = openStatus(stderr, env);
  try {
    const onProgress = downloadPhase(`downloading ${name.id}`, status.phase);
    return await download(name, { ...wanted, signal, onProgress, onNote: status.log }, hub);
  } catch (error) {
    if (!signal.aborted) throw error;
    status.log("Stopped. What came is kept: the same command goes on with it.");
    throw signal.reason;
  } finally {
    status.phase(undefined);
    status.stop();
    await hub.close();
  }
}

/** Progress of a download for people; the time that is left is by the rate so far, without what was here before. */
export function downloadPhase(
  name: string,
  onPhase: (phase: Phase) => void,
  now: () => number = () => performance.now(),
): (done: number, total: number) => void {
  let begin: { readonly at: number; readonly done: number } | undefined;
  return (done, total) => {
    begin ??= { at: now(), done };
    const seconds = (now() - begin.at) / 1000;
    const rate = seconds > 0 ? Math.max(0, done - begin.done) / seconds : 0;
    const sizes = `${formatBytes(done)} of ${formatBytes(total)}`;
    const left = rate > 0 ? `, ${formatBytes(rate)}/s, ${formatDuration((1000 * (total - done)) / rate)} left` : "";
    onPhase({ name, done, total, counts: done === total ? sizes : `${sizes}${left}` });
  };
}
