/**
 * The thread that writes checkpoints while training goes on. `copy` takes the state between two steps out of shared memory,
 * into buffers that are used again; `write` encodes, hashes, flushes and publishes one copy. Copies wait here until they
 * are written or dropped, so a disk that refuses costs none of them.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { syncFile, syncFolder, verifyDirectory } from "@zerogate/core/node";
import { type Checkpoint, saveCheckpoint } from "./checkpoint.ts";
import { checkpointFolder, type KeepRule, pruneCheckpoints, setAside } from "./folders.ts";

/** Over shared memory, but for `t`. */
export interface SharedNumbers {
  readonly params: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
}

export interface WriteJob extends Omit<Checkpoint, "params" | "moments"> {
  readonly runDir: string;
  /** AdamW's count of updates, by group. */
  readonly t: readonly number[];
  readonly keep: KeepRule;
  /** Flushed before the checkpoint appears: files that must hold all lines up to its step. */
  readonly flush: readonly string[];
}

const copies = new Map<number, SharedNumbers>();
const spare: SharedNumbers[] = [];

/** Takes a copy for the checkpoint of `step`. The arrays may change again when it returns. */
export function copy({ step, params, m, v }: SharedNumbers & { readonly step: number }): void {
  const into = copies.get(step) ?? spare.pop() ?? { params: params.slice(), m: m.slice(), v: v.slice() };
  into.params.set(params);
  into.m.set(m);
  into.v.set(v);
  copies.set(step, into);
}

/** Forgets a copy. */
export function drop(step: number): void {
  const numbers = copies.get(step);
  copies.delete(step);
  if (numbers) spare.push(numbers);
}

/** Writes the copy of a step, forgets it, and removes checkpoints that need not stay. Returns the folder. */
export async function write({ runDir, keep, flush, t, ...rest }: WriteJob): Promise<string> {
  const { step } = rest.state;
  const numbers = copies.get(step);
  if (!numbers) throw new RangeError(`Cannot write checkpoint ${step}: its copy was lost with its thread`);
  const { params, m, v } = numbers;
  for (const path of flush) if (existsSync(path)) await syncFile(path);
  const folder = checkpointFolder(runDir, step);
  const isThere = existsSync(folder);
  // A save that failed after its rename, or a step that was done again: the folder is whole.
  const isWhole = isThere && (await verifyDirectory(folder)).length === 0;
  if (isThere && !isWhole) await setAside(runDir, step);
  if (isWhole) await syncFolder(join(folder, ".."));
  else await saveCheckpoint(runDir, { ...rest, params, moments: { m, v, t: [...t] } });
  drop(step);
  await pruneCheckpoints(runDir, keep);
  return folder;
}
