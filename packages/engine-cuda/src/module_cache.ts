/**
 * Compiled kernels on disk, shared by all workers and runs. A file is named by what it was made of and begins with the hash of
 * what follows, so a damaged one is compiled again; it appears whole or not at all.
 */
import { createHash } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRegularFileSync, temporarySibling, cacheFolder as userCacheFolder } from "@zerogate/core/node";
import type { Nvrtc, Source } from "./native/nvrtc.ts";

/** Goes up when the way of compiling changes. */
const FORMAT = "1";
const HASH_BYTES = 32;

/** Returns `ZEROGATE_CUDA_CACHE`, else `cuda` in the user's cache folder; undefined if the user has none. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folder = userCacheFolder(env);
  return env["ZEROGATE_CUDA_CACHE"] || (folder && join(folder, "cuda"));
}

/** The cubin of a source, from the cache or compiled into it. Without a cache, or one that can be written, it is only compiled. */
export function compiled(
  nvrtc: Nvrtc,
  source: Source,
  options: readonly string[],
  folder: string | undefined = cacheFolder(),
): Uint8Array {
  if (folder === undefined) return nvrtc.compile(source, options);
  const path = join(folder, cubinName(nvrtc.version, source, options));
  const kept = readCubin(path);
  if (kept) return kept;
  const cubin = nvrtc.compile(source, options);
  write(path, withHash(cubin));
  return cubin;
}

/** Names the file of a cubin by all that it is made of. @param version that of the compiler. */
export function cubinName(version: string, source: Source, options: readonly string[]): string {
  const made = JSON.stringify([FORMAT, version, options, source]);
  return `${source.name}-${createHash("sha256").update(made).digest("hex")}.cubin`;
}

/** The content of a cubin's file. */
export const withHash = (cubin: Uint8Array): Uint8Array => Buffer.concat([hashOf(cubin), cubin]);

const hashOf = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

/** Returns undefined for a file that is not there, or damaged. */
export function readCubin(path: string): Uint8Array | undefined {
  let bytes: Buffer;
  try {
    bytes = readRegularFileSync(path);
  } catch {
    return undefined;
  }
  const cubin = bytes.subarray(HASH_BYTES);
  return hashOf(cubin).equals(bytes.subarray(0, HASH_BYTES)) ? Uint8Array.from(cubin) : undefined;
}

function write(path: string, bytes: Uint8Array): void {
  const temporary = temporarySibling(path);
  try {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(temporary, bytes, { flag: "wx" });
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true }); // a full disk, or somebody else's folder: the next start compiles again
  }
}
