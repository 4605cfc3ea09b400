/** The chunks of a body one after another, all that came before the connection ended: an iterator drops those that it holds then. */
import type { Readable } from "node:stream";

/** Chunks that wait for the disk. */
const MAX_WAITING_BYTES = 4 * 2 ** 20;

/** Hands over every chunk; rejects with what ended the body or what `take` throws. */
export async function eachChunk(body: Readable, take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  let taken = Promise.resolve();
  let waiting = 0;
  const ended = new Promise<void>((resolve, reject) => {
    body.once("end", resolve);
    body.once("error", reject);
    body.once("close", resolve);
  });
  const takeNext = async (before: Promise<void>, chunk: Uint8Array) => {
    await before;
    await take(chunk);
    waiting -= chunk.length;
    if (body.isPaused() && waiting <= MAX_WAITING_BYTES / 2) body.resume();
  };
  body.on("data", (chunk: Uint8Array) => {
    waiting += chunk.length;
    if (waiting > MAX_WAITING_BYTES) body.pause();
    taken = takeNext(taken, chunk);
    taken.catch((error: Error) => body.destroy(error));
  });
  try {
    await ended;
  } finally {
    await taken;
  }
}
