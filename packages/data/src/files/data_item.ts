/** A data file as a stream of items, each with its place. */
import type { Place, RecordFault } from "../record_problems.ts";

/** What a data file holds at a place, or what keeps it from being a value. */
export type DataItem =
  | { readonly place: Place; readonly value: unknown }
  | { readonly place: Place; readonly fault: RecordFault };

/** Items in the order of the file, some at a time: no more of them than one batch is in memory. */
export type DataItems = AsyncIterable<readonly DataItem[]>;
