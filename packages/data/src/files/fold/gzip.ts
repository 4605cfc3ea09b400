/** Unfolds gzip, one member after another, as it comes. */
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";

/** @throws Error if a member is damaged or cut off. */
export async function* gunzip(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const unzip = createGunzip();
  const feeding = pipeline(pieces, unzip);
  feeding.catch(() => {}); // what fails destroys `unzip`, which throws it below
  try {
    for await (const piece of unzip as AsyncIterable<Buffer>) yield piece;
  } catch (cause) {
    throw new Error(`its gzip is damaged or cut off (${(cause as Error).message}): download or copy it again`, {
      cause,
    });
  }
}
