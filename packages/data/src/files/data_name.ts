/** Names of data files: what the end of a name says that a file is, and whether it is compressed. */

const pattern = /\.(jsonl?|ndjson|csv|tsv|tab|parquet)(?:\.(?:gz|zst))?$/i;

/** Returns the form that a name tells, in lower case; undefined if it tells none. */
export function dataName(path: string): string | undefined {
  return pattern.exec(path)?.[1]?.toLowerCase();
}
