/** The arrays of a token file, read as a stranger's: into memory, or once through and left where they are. */
import { createHash } from "node:crypto";
import { type OpenedSeal, openRegularFile, readFully, type SampleTokens, type StoredTokens } from "@zerogate/core/node";
import {
  allocateTokens,
  bytesOf,
  faultOf,
  hashHead,
  hashTokens,
  idFault,
  sampleFault,
  targetFault,
} from "./token_set.ts";

type Opened = OpenedSeal<{ readonly tokens: number; readonly samples: number }>;

/** What was read of a file. */
interface TokenBody {
  readonly recordOf: Int32Array;
  /** Judges them, once all of the file has the hash that it ends with. */
  tokens(fail: Opened["fail"]): Promise<SampleTokens>;
}

/** A whole number of ids. */
const BLOCK_BYTES = 2 ** 22;

export async function takeIntoMemory({ header, fill }: Opened): Promise<TokenBody> {
  const arrays = allocateTokens(header.tokens, header.samples);
  const recordOf = new Int32Array(header.samples);
  for (const part of [bytesOf(arrays.ids), arrays.target, bytesOf(arrays.offsets), bytesOf(recordOf)]) await fill(part);
  return {
    recordOf,
    async tokens(fail) {
      const fault = faultOf(arrays, recordOf);
      if (fault !== undefined) throw fail(fault);
      return { ...arrays, hash: hashTokens(arrays) };
    },
  };
}

/** Reads all of it once, a block at a time, and keeps what samples are made of. */
export async function keepInFile({ header, bodyAt, fill }: Opened, path: string): Promise<TokenBody> {
  const { tokens: count, samples } = header;
  const hash = createHash("sha256").update(hashHead(count, samples));
  const block = new Int32Array(BLOCK_BYTES / 4);
  let fault: string | undefined;
  const pass = async (bytes: number, judge: (block: Int32Array, bytes: number) => string | undefined) => {
    for (let left = bytes; left > 0; left -= BLOCK_BYTES) {
      const part = bytesOf(block).subarray(0, Math.min(left, BLOCK_BYTES));
      await fill(part);
      hash.update(part);
      fault ??= judge(block, part.length);
    }
  };
  await pass(4 * count, (ids, bytes) => idFault(ids.subarray(0, bytes / 4)));
  await pass(count, (targets, bytes) => targetFault(bytesOf(targets).subarray(0, bytes)));
  const offsets = new Float64Array(new SharedArrayBuffer(8 * (samples + 1)));
  await fill(bytesOf(offsets));
  hash.update(bytesOf(offsets));
  const recordOf = new Int32Array(samples);
  await fill(bytesOf(recordOf));
  const place = { path, idsAt: bodyAt, targetAt: bodyAt + 4 * count };
  return {
    recordOf,
    async tokens(fail) {
      fault ??= sampleFault({ offsets, recordOf }, count, () => true);
      if (fault !== undefined) throw fail(fault);
      const labelled = await countTargets(place, offsets);
      const without = labelled.indexOf(0);
      if (without >= 0) throw fail(`its sample ${without} has no target`);
      return { ...place, offsets, labelled, hash: hash.digest("hex") };
    },
  };
}

async function countTargets(
  { path, targetAt }: Pick<StoredTokens, "path" | "targetAt">,
  offsets: Float64Array,
): Promise<Int32Array> {
  const samples = offsets.length - 1;
  const all = offsets[samples]!;
  const labelled = new Int32Array(new SharedArrayBuffer(4 * samples));
  const block = new Uint8Array(BLOCK_BYTES);
  const handle = await openRegularFile(path);
  try {
    let sample = 0;
    for (let from = 0; from < all; from += block.length) {
      const part = block.subarray(0, Math.min(block.length, all - from));
      await readFully({ path, handle }, part, targetAt + from);
      for (let t = 0; t < part.length; t++) {
        if (from + t === offsets[sample + 1]) sample++;
        if (part[t] === 1 && from + t > offsets[sample]!) labelled[sample] = labelled[sample]! + 1;
      }
    }
  } finally {
    await handle.close();
  }
  return labelled;
}
