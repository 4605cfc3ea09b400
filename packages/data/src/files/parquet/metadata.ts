/** What a parquet file says of itself: columns, row groups, where their pages are. */
import { type FileMetaData, parquetMetadata, parquetSchema, type SchemaTree } from "hyparquet";
import type { ByteRanges } from "./byte_ranges.ts";
import { parsers } from "./plain_values.ts";
import { checkThrift } from "./thrift_check.ts";

/** Files of a terabyte say less of themselves. */
const MAX_BYTES = 2 ** 24;
const MAX_COLUMNS = 10_000;
const MAX_DEPTH = 16;

export interface ParquetFile {
  readonly metadata: FileMetaData;
  readonly schema: SchemaTree;
}

/** @throws Error if it is none, damaged, encrypted, or claims more than it can hold. */
export async function readMetadata(ranges: ByteRanges): Promise<ParquetFile> {
  if (ranges.length < 12) throw new Error("it is too short for a parquet file: it was cut off, copy it again");
  const end = await ranges.read(ranges.length - 8, ranges.length);
  const mark = Buffer.from(end).toString("latin1", 4);
  if (mark === "PARE") throw new Error("it is an encrypted parquet file, which is not read");
  if (mark !== "PAR1") throw new Error("it is a parquet file without its end: it was cut off, copy it again");
  const bytes = new DataView(end.buffer).getUint32(0, true);
  if (bytes > Math.min(MAX_BYTES, ranges.length - 12)) {
    throw new Error(
      `its description claims ${bytes} bytes, the file has ${ranges.length}, and at most ${MAX_BYTES} are read`,
    );
  }
  const footer = await ranges.read(ranges.length - 8 - bytes, ranges.length);
  if (checkThrift(footer.subarray(0, bytes)) > bytes) throw new Error("its description is longer than it says");
  const metadata = parquetMetadata(footer, { parsers, geoparquet: false });
  if (metadata.schema.length > MAX_COLUMNS)
    throw new Error(`it has ${metadata.schema.length} columns, at most ${MAX_COLUMNS} are read`);
  const schema = parquetSchema(metadata);
  if (depthOf(schema) > MAX_DEPTH) throw new Error(`its columns are nested more than ${MAX_DEPTH} deep`);
  return { metadata, schema };
}

function depthOf({ children }: SchemaTree): number {
  return 1 + children.reduce((most, child) => Math.max(most, depthOf(child)), 0);
}
