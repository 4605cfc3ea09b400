/** The binary files that zerogate writes. */
import { createHash } from "node:crypto";
import { listTensors, readRegularFile } from "@zerogate/core/node";
import { readTokenFile } from "@zerogate/data";
import { decodeRunState, type RunState, readEvents } from "@zerogate/run-files";
import type { KnownFile } from "./known_file.ts";

const HASH_BYTES = 32;

/** @throws InputError if it is no state that this version reads. */
export async function readStateFile(path: string): Promise<RunState> {
  return decodeRunState(await readRegularFile(path), path);
}

export const ownBinaries: readonly KnownFile[] = [
  {
    kind: "run-state",
    what: "the state of a checkpoint: step, hashes, config, all that a run goes on from besides its numbers",
    is: ({ name }) => name === "state.msgpack",
    read: async ({ path }) => ({ ...(await readStateFile(path)) }),
  },
  {
    kind: "optimizer",
    format: "safetensors",
    what: "the moments of AdamW in a checkpoint, one number each for every trained number",
    is: ({ name }) => name === "optimizer.safetensors",
    read: async ({ path }) => {
      const { entries, metadata } = await listTensors(path);
      const [m, v, updates] = [entries.get("m"), entries.get("v"), metadata.get("zerogate.adamw_steps")];
      const isOurs = m !== undefined && v !== undefined && updates !== undefined;
      const names = [...entries.keys()].slice(0, 10);
      return isOurs
        ? {
            parameters: m.shape[0],
            updates: Math.max(...updates.split(",").map(Number)), // of the group that has most
            tensors: [...entries].map(([name, entry]) => ({ name, ...shown(entry) })),
          }
        : { names, problem: "it holds no moments of zerogate (m, v and zerogate.adamw_steps)" };
    },
  },
  {
    kind: "token-cache",
    what: "tokenised data, under the hash of all that it depends on; it may be deleted at any time",
    is: ({ name, head }) => head.toString("latin1", 0, 8) === "ZGTOKENS" || /^[0-9a-f]{64}\.tokens$/.test(name),
    read: async ({ path }) => {
      const { key, tokens, stats, skipped, unread } = await readTokenFile(path);
      const { uncut: _, ...counts } = stats;
      return { key, ...counts, skipped, fieldsNotRead: unread.map(({ name }) => name), hash: tokens.hash };
    },
  },
  {
    kind: "tensorboard",
    what: "curves of a run for TensorBoard",
    is: ({ name }) => name.startsWith("events.out.tfevents."),
    read: async ({ path }) => ({ ...readEvents(await readRegularFile(path)) }),
  },
  {
    kind: "compiled-kernels",
    what: "compiled kernels of the engine cuda; it may be deleted at any time",
    is: ({ name }) => /-[0-9a-f]{64}\.cubin$/.test(name),
    read: async ({ path }) => hashed(await readRegularFile(path), "first"),
  },
  {
    kind: "product-choice",
    what: "which algorithm of cuBLASLt the engine cuda found the fastest for a product; it may be deleted at any time",
    is: ({ name }) => /^\d+x\d+x\d+-(?:forward|backward)-/.test(name),
    read: async ({ path }) => hashed(await readRegularFile(path), "last"),
  },
];

const shown = ({ dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] }) => ({ dtype, shape });

/** Whether a file holds the SHA-256 of the rest of it, in its first or its last bytes. */
function hashed(bytes: Buffer, place: "first" | "last") {
  const at = place === "first" ? HASH_BYTES : bytes.length - HASH_BYTES;
  const [first, last] = [bytes.subarray(0, at), bytes.subarray(at)];
  const [hash, rest] = place === "first" ? [first, last] : [last, first];
  const isWhole = createHash("sha256").update(rest).digest().equals(hash);
  return { bytes: rest.length, ...(!isWhole && { problem: "it is damaged: it is not used, and made again" }) };
}
