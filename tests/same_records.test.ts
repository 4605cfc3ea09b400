/** Records are what they are, not the file that they came in: one data hash and one adapter. All forms: same_records.campaign.test.ts. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { writtenRecords } from "../packages/data/test/written_records.ts";
import { cwd, rows, trainOn } from "./support/trained_forms.ts";

let plain: Awaited<ReturnType<typeof trainOn>>;

beforeAll(async () => {
  plain = await trainOn("data.json");
});

test("a CSV, a parquet and a Zstandard file of the same records train one adapter [D-file-same-hash]", async () => {
  const written = writtenRecords(rows());
  const files = Object.fromEntries(
    ["table.csv", "rows.parquet", "lines.jsonl.zst"].map((name) => [name, written[name] ?? ""]),
  );
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(cwd, name), bytes);
  const { data, adapter } = plain;
  for (const name of Object.keys(files))
    expect({ name, ...(await trainOn(name)) }).toMatchObject({ name, data, adapter });
});

test("columns with other names train the same adapter: known ones by themselves, others by --fields, and what nobody reads is said once [D-columns-auto, D-columns-fields]", async () => {
  const items = rows();
  const { data, adapter } = plain;
  const known = items.map(({ instruction, input, output }) => ({
    question: instruction,
    context: input,
    answer: output,
    source: "s",
  }));
  const others = items.map(({ instruction, input, output }) => ({
    q: { text: instruction },
    more: input,
    replies: [output],
    id: 7,
  }));
  const [byName, byHand] = [writtenRecords(known), others.map((item) => `${JSON.stringify(item)}\n`).join("")];
  for (const name of ["table.csv", "rows.parquet"]) {
    writeFileSync(join(cwd, `known-${name}`), byName[name] ?? "");
    const found = await trainOn(`known-${name}`);
    expect(found).toMatchObject({ data, adapter });
    expect(found.stderr.match(/fields of data are not used[^\n]*/g)).toEqual([
      'fields of data are not used, here with their records: "source" (64)',
    ]);
  }
  writeFileSync(join(cwd, "others.jsonl"), byHand);
  const fields = ["--fields", "instruction=q.text", "input=more", "output=replies.0"];
  expect(await trainOn("others.jsonl", fields)).toMatchObject({ data, adapter });
  const wrong = ["--fields", "instruction=q.txt", "output=replies.0"]; // the output is there
  await expect(trainOn("others.jsonl", wrong)).rejects.toThrow(
    /--fields names q\.txt, which its first record has not, its keys are q, more, replies, id/,
  );
});
