/** Records are what they are, not the file that they came in: one data hash and one adapter for every form. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { writtenRecords } from "../packages/data/test/written_records.ts";
import { cwd, rows, trainOn } from "./support/trained_forms.ts";

let plain: Awaited<ReturnType<typeof trainOn>>;

beforeAll(async () => {
  plain = await trainOn("data.json");
});

test("JSON, JSONL, CSV, TSV, parquet, gzip and Zstandard of the same records train one adapter [D-file-same-hash, D-file-json, D-file-jsonl, D-file-csv, D-file-parquet, D-file-gzip, D-file-zstd]", async () => {
  const files = writtenRecords(rows());
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(cwd, name), bytes);
  const { data, adapter } = plain;
  for (const name of Object.keys(files))
    expect({ name, ...(await trainOn(name)) }).toMatchObject({ name, data, adapter });
});
