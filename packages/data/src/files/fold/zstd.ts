/** Unfolds Zstandard, one frame after another, as it comes. Windows of more than 128 MB are refused, as the program zstd does. */
import { ZSTDDecoder } from "zstddec/stream";

/** The decoder reports no error: it gives empty pieces for ever. A piece of the file holds fewer empty frames than this. */
const MAX_EMPTY = 65_536;

/** @throws Error if a frame is damaged or cut off. */
export async function* unzstd(pieces: Iterable<Buffer>): AsyncGenerator<Buffer> {
  const decoder = new ZSTDDecoder();
  await decoder.init();
  let isStopped = false;
  function* feed(): Generator<Buffer> {
    for (const piece of pieces) {
      if (isStopped) return;
      yield piece;
    }
  }
  const unfolded = decoder.decodeStreaming(feed());
  let empty = 0;
  /** Returns the next piece; undefined at the end. */
  const next = (): Uint8Array | undefined => {
    try {
      for (;;) {
        const { done, value } = unfolded.next();
        if (done) return undefined;
        empty = value.length === 0 ? empty + 1 : 0;
        if (empty > MAX_EMPTY) throw new Error("no frame follows");
        if (value.length > 0) return value;
      }
    } catch (cause) {
      throw new Error("its Zstandard is damaged, cut off or needs more than 128 MB: download or copy it again", {
        cause,
      });
    }
  };
  try {
    for (let piece = next(); piece !== undefined; piece = next()) {
      yield Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    }
  } finally {
    isStopped = true;
    drain(unfolded); // it frees its memory at its end alone
  }
}

function drain(unfolded: Generator<Uint8Array>): void {
  try {
    for (let i = 0; i < MAX_EMPTY; i++) if (unfolded.next().done) return;
  } catch {
    return; // what it was fed is no whole frame
  }
}
