/** Threads that hash, decode and prepare images; like those of tokenising they keep nothing between tasks. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { decodeError, type EncodedError } from "@zerogate/core/training";
import type { PreprocessSettings } from "@zerogate/core/vision";
import { Piscina } from "piscina";

/** What a thread is asked for: the hash of a file, with `preprocess` also its pixels. */
export interface ImageTask {
  readonly path: string;
  /** For messages. */
  readonly name: string;
  readonly exif: "apply" | "ignore";
  readonly channelOrder: "rgb" | "bgr";
  readonly preprocess: PreprocessSettings | undefined;
}

/** An image file as a thread found it. */
interface PreparedImage {
  readonly sha256: string;
  readonly warnings?: readonly string[];
  readonly pixels?: Float32Array;
}

/** Errors cross threads as plain data, or they would lose their class. */
export type PrepareReply = PreparedImage | { readonly error: EncodedError };

/** Each decodes an image of up to 100 million pixels, 300 MB; more than this many are not worth their memory. */
const MAX_THREADS = 8;

/** Threads for images. */
export interface ImagePool {
  /**
   * Runs tasks in their order, a few at a time, and hands over each result in that order; a result may be the error of its
   * image. Ends early with the signal's reason.
   */
  run(
    tasks: readonly ImageTask[],
    take: (result: PreparedImage | Error, task: number) => void | Promise<void>,
  ): Promise<void>;
  close(): Promise<void>;
}

/** @param threads at most. Default: the cores of the machine, up to 8. */
export function openImagePool(
  threads: number = Math.min(availableParallelism(), MAX_THREADS),
  signal?: AbortSignal,
): ImagePool {
  const pool = new Piscina<ImageTask, PrepareReply>({ minThreads: 1, maxThreads: threads, execArgv: [] });
  const task = { filename: workerFile(), name: "prepare" };
  const poolFailed = new Promise<never>((_, reject) => pool.on("error", reject));
  poolFailed.catch(() => {}); // it may fail when nobody waits
  const one = async (of: ImageTask): Promise<PreparedImage | Error> => {
    const reply = await Promise.race([pool.run(of, task), poolFailed]);
    return "error" in reply ? decodeError(reply.error) : reply;
  };
  return {
    async run(tasks, take) {
      const ahead: Promise<PreparedImage | Error>[] = [];
      let next = 0;
      try {
        for (let i = 0; i < tasks.length; i++) {
          signal?.throwIfAborted();
          // While one image is taken the others are on their way, and no more lie in memory.
          for (; next < Math.min(tasks.length, i + 2 * threads); next++) {
            const of = tasks[next];
            if (of) ahead.push(one(of));
          }
          const result = await ahead.shift();
          if (result) await take(result, i);
        }
      } finally {
        await Promise.allSettled(ahead);
      }
    },
    close: () => pool.destroy(),
  };
}

/** Node 20 starts no TypeScript in a worker thread: from source, too, the built file is the worker. */
function workerFile(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = fileURLToPath(new URL(isSource ? "../dist/image_worker.js" : "./image_worker.js", import.meta.url));
  if (!existsSync(path)) throw new Error(`Cannot start decoding: ${path} is missing, run "pnpm build" first`);
  return path;
}
