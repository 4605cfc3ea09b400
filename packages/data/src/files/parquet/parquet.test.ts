import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { ByteWriter, ParquetWriter, parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { zstdOf } from "../../../test/zstd_frames.ts";
import { openByteSource } from "../byte_source.ts";
import { openParquet } from "./rows.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-parquet-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let files = 0;
async function rowsOf(bytes: Uint8Array, choose = (names: readonly string[]) => names): Promise<unknown[]> {
  const path = join(scratch, `${files++}.parquet`);
  writeFileSync(path, bytes);
  const rows: unknown[] = [];
  const { items } = await openParquet(await openByteSource(path), choose);
  for await (const batch of items) for (const item of batch) rows.push("value" in item ? item.value : item.fault);
  return rows;
}
type Columns = Parameters<typeof parquetWriteBuffer>[0]["columnData"];
const written = (columnData: Columns, more: Partial<Parameters<typeof parquetWriteBuffer>[0]> = {}) =>
  new Uint8Array(parquetWriteBuffer({ columnData, ...more }));

const many = Array.from({ length: 50_000 }, (_, i) => ({ instruction: `Question ${i}?`, output: `Answer ${i % 97}.` }));
const textColumns: Columns = [
  { name: "instruction", data: many.map(({ instruction }) => instruction), type: "STRING" },
  { name: "output", data: many.map(({ output }) => output), type: "STRING" },
];

describe("rows of parquet [D-file-parquet]", () => {
  test.each([
    ["one row group", {}],
    ["many", { rowGroupSize: 1234 }],
    ["one row each, at first", { rowGroupSize: [1, 2, 3, 40_000, 1000] }],
    ["small pages", { pageSize: 1000 }],
    ["not compressed", { codec: "UNCOMPRESSED" as const }],
    ["gzip", { codec: "GZIP" as const, compressors: { GZIP: (bytes: Uint8Array) => gzipSync(bytes) } }],
    ["brotli", { codec: "BROTLI" as const, compressors: { BROTLI: (bytes: Uint8Array) => brotliCompressSync(bytes) } }],
    ["Zstandard", { codec: "ZSTD" as const, compressors: { ZSTD: (bytes: Uint8Array) => zstdOf(bytes) } }],
  ])("%s", async (_, options) => {
    expect(await rowsOf(written(textColumns, options))).toEqual(many);
  });

  test("of several columns those that are asked for are read", async () => {
    expect(await rowsOf(written(textColumns), () => ["output"])).toEqual(many.map(({ output }) => ({ output })));
  });

  test("lists and structs are what JSON has, over the ends of pages and row groups", async () => {
    const chats = Array.from({ length: 3000 }, (_, i) => ({
      messages: Array.from({ length: i % 5 }, (_unused, k) => ({
        role: k % 2 ? "assistant" : "user",
        content: i % 7 ? `c${i}.${k}` : null,
      })),
    }));
    const field = (name: string) => ({
      name,
      type: "BYTE_ARRAY" as const,
      converted_type: "UTF8" as const,
      repetition_type: "OPTIONAL" as const,
    });
    const schema = [
      { name: "root", num_children: 1 },
      { name: "messages", repetition_type: "OPTIONAL" as const, num_children: 1, converted_type: "LIST" as const },
      { name: "list", repetition_type: "REPEATED" as const, num_children: 1 },
      { name: "element", repetition_type: "OPTIONAL" as const, num_children: 2 },
      field("role"),
      field("content"),
    ];
    const columnData = [{ name: "messages", data: chats.map(({ messages }) => messages) }];
    for (const rowGroupSize of [700, 3000])
      expect(await rowsOf(written(columnData, { schema, rowGroupSize, pageSize: 500 }))).toEqual(chats);
  });

  test("whole numbers of 64 bits, decimals, dates and times are text, bytes too if they are UTF-8", async () => {
    const row = await rowsOf(
      written([
        { name: "big", data: [9_007_199_254_740_993n], type: "INT64" },
        { name: "small", data: [7], type: "INT32" },
        { name: "part", data: [0.5], type: "DOUBLE" },
        { name: "yes", data: [true], type: "BOOLEAN" },
        { name: "none", data: [null], type: "STRING", nullable: true },
        { name: "time", data: [new Date(1_764_504_000_123)], type: "TIMESTAMP" },
        { name: "text", data: [Buffer.from("ä")], type: "BYTE_ARRAY" },
      ]),
    );
    expect(row).toEqual([
      {
        big: "9007199254740993",
        small: 7,
        part: 0.5,
        yes: true,
        none: null,
        time: "2025-11-30T12:00:00.123Z",
        text: "ä",
      },
    ]);
    const bytes = (await rowsOf(written([{ name: "b", data: [Buffer.of(0xff, 0xd8)], type: "BYTE_ARRAY" }]))) as {
      b: Uint8Array;
    }[];
    expect([...(bytes[0]?.b ?? [])]).toEqual([0xff, 0xd8]);
  });

  test("a parquet file inside gzip is unfolded", async () => {
    expect(await rowsOf(gzipSync(written(textColumns)))).toEqual(many);
  });
});

describe("what is damaged or claims too much is refused [D-file-parquet, D-file-bombs]", () => {
  const small = written([{ name: "a", data: ["x", "y", "z"], type: "STRING" }], { codec: "UNCOMPRESSED" });
  const metadataAt = small.length - 8 - new DataView(small.buffer).getUint32(small.length - 8, true);
  const withMetadata = (metadata: Uint8Array, body = small.subarray(0, metadataAt)) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(metadata.length);
    return Buffer.concat([body, metadata, size, Buffer.from("PAR1")]);
  };

  test("cut off, without its end, encrypted, too short", async () => {
    await expect(rowsOf(small.subarray(0, -5))).rejects.toThrow("it is a parquet file without its end: it was cut off");
    await expect(rowsOf(small.subarray(0, 10))).rejects.toThrow("it is too short for a parquet file");
    await expect(rowsOf(Buffer.concat([small.subarray(0, -4), Buffer.from("PARE")]))).rejects.toThrow("encrypted");
    await expect(
      rowsOf(withMetadata(small.subarray(metadataAt, small.length - 8), small.subarray(0, 20))),
    ).rejects.toThrow(/it is a parquet file that cannot be read/);
  });

  test("a description that claims more than there is: its length, lists of a billion, structs in structs", async () => {
    const long = Buffer.from(small);
    long.writeUInt32LE(0xffff_fff0, long.length - 8);
    await expect(rowsOf(long)).rejects.toThrow("its description claims 4294967280 bytes");
    const billion = [0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
    await expect(rowsOf(withMetadata(Uint8Array.from(billion)))).rejects.toThrow(
      "a list of 2147483647 elements is claimed",
    );
    await expect(rowsOf(withMetadata(new Uint8Array(100_000).fill(0x1c)))).rejects.toThrow(
      "structs are nested more than 24 deep",
    );
    await expect(rowsOf(withMetadata(new Uint8Array(100_000).fill(0x19)))).rejects.toThrow(/nested more than 24 deep/);
  });

  /** A file of one column whose page is `page` with this header, and `rows` rows by its description. */
  function withPage(
    header: readonly number[],
    page: Uint8Array,
    rows: number,
    codec: "UNCOMPRESSED" | "GZIP" = "UNCOMPRESSED",
  ) {
    const writer = new ByteWriter();
    const schema = [
      { name: "root", num_children: 1 },
      { name: "a", type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const, repetition_type: "REQUIRED" as const },
    ];
    const file = new ParquetWriter({ writer, schema, codec: "UNCOMPRESSED" });
    const body = Buffer.concat([Buffer.from(header), page]);
    writer.appendBytes(body);
    const size = BigInt(body.length);
    const meta_data = {
      type: "BYTE_ARRAY" as const,
      encodings: ["PLAIN" as const],
      path_in_schema: ["a"],
      codec,
      num_values: BigInt(rows),
      total_uncompressed_size: size,
      total_compressed_size: size,
      data_page_offset: 4n,
    };
    file.row_groups.push({ columns: [{ file_offset: 4n, meta_data }], total_byte_size: size, num_rows: BigInt(rows) });
    file.num_rows = BigInt(rows);
    void file.finish();
    return new Uint8Array(writer.getBuffer());
  }
  const zigzag = (value: number): number[] => {
    const bytes: number[] = [];
    for (let left = 2 * value; ; left = Math.floor(left / 128)) {
      bytes.push((left % 128) | (left >= 128 ? 0x80 : 0));
      if (left < 128) return bytes;
    }
  };
  /** Data page of version 1: sizes, number of values, encoding. */
  const header = (unfolded: number, folded: number, values: number, encoding: number) => [
    0x15,
    0x00,
    0x15,
    ...zigzag(unfolded),
    0x15,
    ...zigzag(folded),
    0x2c,
    0x15,
    ...zigzag(values),
    0x15,
    ...zigzag(encoding),
    0x15,
    0x06,
    0x15,
    0x06,
    0x00,
    0x00,
  ];

  test("the page that tests build is read", async () => {
    const page = Buffer.from("0100000078010000007901000000", "hex");
    expect(
      await rowsOf(withPage(header(14, 14, 2, 0), Buffer.concat([page.subarray(0, 13), Buffer.from("z")]), 2)),
    ).toHaveLength(2);
  });

  test.each([
    ["a page of a gigabyte", header(2 ** 30, 10, 2, 0), Buffer.alloc(10), 2, "a page of 1073741824 bytes is claimed"],
    [
      "a page that grows too much",
      header(2 ** 27, 100, 2, 0),
      Buffer.alloc(100),
      2,
      "at most 100 times its size are read",
    ],
    [
      "a billion values",
      header(10, 10, 2 ** 30, 0),
      Buffer.alloc(10),
      2 ** 30,
      "1073741824 values of a page are claimed",
    ],
    [
      "a run of a billion numbers",
      header(7, 7, 2, 8),
      Buffer.from([1, 0xfe, 0xff, 0xff, 0xff, 0x07, 0]),
      2,
      "a run of",
    ],
    ["a page longer than its column", header(99, 99, 2, 0), Buffer.alloc(10), 2, "a page is longer than its column"],
    ["an encoding that nobody has", header(10, 10, 2, 4), Buffer.alloc(10), 2, /encoding|BIT_PACKED/],
    [
      "fewer rows than its group",
      header(5, 5, 1, 0),
      Buffer.from("0100000078", "hex"),
      1000,
      "has fewer rows than its group",
    ],
    ["texts longer than the page", header(8, 8, 2, 0), Buffer.from("ffffff7f00000000", "hex"), 2, /cannot be read/],
  ])("%s", async (_, head, page, rows, message) => {
    const before = process.memoryUsage().rss;
    await expect(rowsOf(withPage(head, page, rows))).rejects.toThrow(message);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20);
  });

  test("texts of which each begins as the one before are counted before they are made", async () => {
    const text = Buffer.alloc(100_000, "x");
    const count = 100_000;
    /** Delta-packed numbers that are all the same: blocks without a difference. */
    const constant = (value: number) => {
      const head = [0x80, 0x01, 0x04, ...zigzag(count / 2), ...zigzag(value)]; // 128 a block, in four parts
      return [...head, ...Array.from({ length: Math.ceil((count - 1) / 128) }, () => [0, 0, 0, 0, 0]).flat()];
    };
    const page = Buffer.concat([Buffer.from(constant(100_000)), Buffer.from(constant(0)), text]);
    await expect(rowsOf(withPage(header(page.length, page.length, count, 7), page, count))).rejects.toThrow(
      "a text begins with more of the one before than there is",
    );
    const right = Buffer.concat([Buffer.from(constant(0)), Buffer.from(constant(1)), Buffer.alloc(count, "x")]);
    expect(await rowsOf(withPage(header(right.length, right.length, count, 7), right, count))).toHaveLength(count);
  });

  test("one short text a million times over is read up to 64 MiB", async () => {
    const bomb = written(
      [{ name: "a", data: Array.from({ length: 4_000_000 }, () => "Hello, all of you."), type: "STRING" }],
      { pageSize: 100_000_000 },
    );
    expect(bomb.length).toBeLessThan(100_000);
    await expect(rowsOf(bomb)).rejects.toThrow(
      "its rows become more than 67.1 MB, at most 100 times its size are read",
    );
  });

  test("one bit changed anywhere is an error of ours or another value, never a crash", async () => {
    const file = written(
      textColumns.map(({ data, ...column }) => ({ ...column, data: (data as string[]).slice(0, 50) })),
    );
    for (let at = 0; at < file.length; at += 3) {
      const changed = file.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte));
      const said = await rowsOf(changed).then(
        () => "it is read",
        (error: Error) => error.message,
      );
      expect(said).toMatch(/^(?:it is |Cannot read )/);
    }
  });
});
