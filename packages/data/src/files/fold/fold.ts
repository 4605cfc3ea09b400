/** How data files are compressed, by their first bytes, and a limit on what one may become. */
import { formatBytes } from "@zerogate/core/formats";

/** A way of compressing that is read. */
export type Fold = "gzip" | "zstd";

/** Text shrinks to a third or a tenth of its size; what grows a hundredfold is made to fill a disk. */
const MAX_RATIO = 100;
/** Small files may hold what repeats itself. */
const ALWAYS_ALLOWED = 64 * 2 ** 20;

const magic: Readonly<Record<Fold, readonly number[]>> = { gzip: [0x1f, 0x8b], zstd: [0x28, 0xb5, 0x2f, 0xfd] };

/** Returns how a file that begins with `head` is compressed; undefined if it is not, or in a way that is not read. */
export function foldOf(head: Uint8Array): Fold | undefined {
  return (["gzip", "zstd"] as const).find((fold) => magic[fold].every((byte, i) => head[i] === byte));
}

/** Returns how many bytes a file of this size may become. */
function unfoldedLimit(fileBytes: number): number {
  return Math.max(ALWAYS_ALLOWED, MAX_RATIO * fileBytes);
}

/** Passes unfolded bytes of a file of `fileBytes` on. @throws Error as soon as they are too many. */
export async function* limited(
  unfolded: AsyncIterable<Buffer> | Iterable<Buffer>,
  fold: Fold,
  fileBytes: number,
): AsyncGenerator<Buffer> {
  const limit = unfoldedLimit(fileBytes);
  let bytes = 0;
  for await (const piece of unfolded) {
    bytes += piece.length;
    if (bytes > limit) throw new Error(tooMuch(`its ${formatBytes(fileBytes)} of ${fold}`, limit));
    yield piece;
  }
}

/** Returns a count of the bytes that a file of `fileBytes` becomes in memory. @throws Error, when called, if they are too many. */
export function countUnfolded(fileBytes: number, what: string): (bytes: number) => void {
  const limit = unfoldedLimit(fileBytes);
  let total = 0;
  return (bytes) => {
    total += bytes;
    if (total > limit) throw new Error(tooMuch(what, limit));
  };
}

/** Says that `what` becomes more than a limit. */
function tooMuch(what: string, limit: number): string {
  const allowed = `at most ${MAX_RATIO} times its size are read`;
  return `${what} become more than ${formatBytes(limit)}, ${allowed}: if you trust it, unpack it to a file first`;
}
