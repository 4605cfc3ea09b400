/**
 * Queries of images whose makers are not trained: made once, before training or an evaluation, and kept on disk. What a cell then
 * carries of an image is K · D numbers instead of all tokens of a tower.
 */
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type AdapterState, type ImageRows, imageOf, partNumbers } from "@zerogate/core";
import { imageQueries, VISION_FILE, type WideArithmetic } from "@zerogate/core/training";
import { probe, wideLinear, wideLinearBackward } from "@zerogate/engine-cpu";
import { keptRows } from "@zerogate/vision";
import type { Progress } from "./progress.ts";

/** What makes queries of images. */
export interface QueryMaker {
  readonly adapter: AdapterState;
  /** SHA-256 of its numbers and sizes, hexadecimal. */
  readonly hash: string;
}

/** Part of every key of the cache: raise it when the way from tokens to queries changes. */
const VERSION = 1;

/** Returns the maker in an adapter; undefined for one whose images become no queries. */
export function queryMakerOf({ layout, params }: Pick<AdapterState, "layout" | "params">): QueryMaker | undefined {
  const { vision, promptLength } = layout.shape;
  if (vision?.fusion !== "query") return undefined;
  const hash = createHash("sha256").update(JSON.stringify([VERSION, vision, promptLength, layout.base.hiddenSize]));
  for (const part of layout.table) {
    if (part.file !== VISION_FILE) continue;
    const { buffer, byteOffset, byteLength } = partNumbers(part, params);
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return { adapter: { layout, params }, hash: hash.digest("hex") };
}

/** Where queries are kept, and what is said meanwhile. */
interface QueryRequest extends Pick<Progress, "onPhase" | "onWarning" | "signal"> {
  readonly name: string;
  /** Of the features, hexadecimal. */
  readonly hash: string;
  readonly cacheDir: string | undefined;
}

/** Returns the same rows as queries. */
export async function queriesOf(
  rows: ImageRows,
  { adapter, hash }: QueryMaker,
  { name, hash: featuresHash, cacheDir, onPhase, onWarning, signal }: QueryRequest,
): Promise<ImageRows> {
  const { joined = [], missing } = rows;
  const count = rows.values.length / rows.size + joined.length;
  const size = adapter.layout.shape.promptLength * adapter.layout.base.hiddenSize;
  const key = createHash("sha256")
    .update(`${hash} ${featuresHash} ${JSON.stringify([joined, missing])}`)
    .digest("hex");
  const wide: WideArithmetic | undefined = probe().available ? { wideLinear, wideLinearBackward } : undefined;
  const make = async (row: number) => {
    await setImmediate(); // a pass of one image may take seconds
    signal.throwIfAborted();
    onPhase({ name: `making queries of images of ${name}`, done: row, total: count });
    const image = imageOf({ rows, rowOf: Int32Array.of(row) }, 0);
    return image ? imageQueries(adapter, image, wide).queries : new Float32Array(size);
  };
  const values = await keptRows({ key, count, size, make, cacheDir, onWarning });
  return { values, size, holds: "queries", ...(missing !== undefined && { missing }) };
}
