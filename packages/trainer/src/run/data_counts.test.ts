import type { PreparedTokens } from "@zerogate/data";
import { expect, test } from "vitest";
import { checkDropped, countData, type DataCounts, dataWarnings, describeCounts } from "./data_counts.ts";

const counts: DataCounts = {
  name: "data",
  records: 1300,
  kept: 1290,
  cut: 0,
  noAnswerLeft: 0,
  bad: 0,
  emptyAnswers: 0,
  maxLength: 128,
  longest: 400,
  unread: [],
};

test("records are those that are kept, have no room for an answer or are bad; an answer that is only its end counts", () => {
  // Four samples: an answer of its end alone, one target that a cut left, two targets, none of one's own.
  const tokens = {
    hash: "",
    ids: Int32Array.of(5, 6, 2, 5, 6, 7, 5, 8, 2, 5, 2, 2),
    target: Uint8Array.of(0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1),
    offsets: Float64Array.of(0, 3, 6, 9, 12),
  };
  const prepared = {
    stats: { samples: 4, truncated: 5, droppedNoTarget: 3, uncut: { longest: 77, keeping: [] } },
    skipped: 2,
    unread: [{ name: "source", records: 3 }],
    tokens,
  } as unknown as PreparedTokens;
  expect(countData("validation data", prepared, { maxLength: 16, eosId: 2 })).toEqual({
    name: "validation data",
    records: 9,
    kept: 4,
    cut: 2,
    noAnswerLeft: 3,
    bad: 2,
    emptyAnswers: 2,
    maxLength: 16,
    longest: 77,
    unread: [{ name: "source", records: 3 }],
  });
});

test("nothing is said of data that is trained as it stands", () => {
  expect(dataWarnings(counts)).toEqual([]);
  expect(describeCounts(counts)).toBe("data: 1,290 of 1,300 records are used");
});

test.each<[changes: Partial<DataCounts>, warning: string]>([
  [{ bad: 1 }, "1 record of data was left out: bad"],
  [{ bad: 2 }, "2 records of data were left out: bad"],
  [{ cut: 1 }, "1 record of data was cut at maxLength 128 (the longest has 400 tokens)"],
  [{ noAnswerLeft: 1 }, "1 record of data was left out: nothing of the answer fits into maxLength 128"],
  [{ emptyAnswers: 1, name: "validation data" }, "1 record of validation data has no answer but its end"],
  [{ emptyAnswers: 3 }, "3 records of data have no answer but its end"],
])("%j is a warning of its own", (changes, warning) => {
  expect(dataWarnings({ ...counts, ...changes })).toEqual([warning]);
});

test("fields that are not used are named with their records, ten of them, and what to do with those that tell something", () => {
  const fields = (...names: string[]) => names.map((name, i) => ({ name, records: i + 1 }));
  const warn = (...names: string[]) => dataWarnings({ ...counts, unread: fields(...names) });
  const start = "fields of data are not used, here with their records: ";
  expect(warn("source")).toEqual([`${start}"source" (1)`]);
  expect(warn("system", "source")).toEqual([
    `${start}"system" (1), "source" (2); put what matters of system into instruction`,
  ]);
  expect(warn("history", "system")[0]).toMatch(/; put what matters of system and history into instruction$/);
  const ten = "abcdefghij".split("");
  expect(warn(...ten)[0]).toMatch(/"i" \(9\), "j" \(10\)$/);
  expect(warn(...ten, "k", "l")[0]).toMatch(/"j" \(10\) and 2 more$/);
});

test("what became of the records is one line, with what was lost and why", () => {
  expect(describeCounts({ ...counts, cut: 5 })).toBe(
    "data: 1,290 of 1,300 records are used, 5 of them cut at maxLength 128",
  );
  expect(describeCounts({ ...counts, noAnswerLeft: 1 })).toBe(
    "data: 1,290 of 1,300 records are used; 1 left out, nothing of their answer fits",
  );
  expect(describeCounts({ ...counts, noAnswerLeft: 2000, bad: 1 })).toMatch(
    /used; 2,000 left out, nothing of their answer fits; 1 left out as bad$/,
  );
});

test("too many records without room for an answer are refused, with the length that would keep them", () => {
  const keeping = [
    { share: 0.5, some: 10, whole: 20 },
    { share: 1, some: 150, whole: 300 },
  ];
  const prepared = { stats: { uncut: { longest: 400, keeping } } } as unknown as PreparedTokens;
  const check = (kept: number, noAnswerLeft: number, maxDropped: number, context = 512) =>
    checkDropped({ ...counts, kept, noAnswerLeft }, prepared, { maxDropped }, context);
  expect(() => check(95, 5, 0.05)).not.toThrow();
  expect(() => check(1, 0, 0)).not.toThrow();
  expect(() => check(94, 6, 0.05)).toThrow(
    "Cannot use the data: 6 of 100 records of data would be left out, as nothing of their answer fits into maxLength 128 " +
      "(the longest has 400 tokens), and maxDropped allows 5 %: --max-length 300 would keep 100 %, --max-dropped 0.06 goes on without them",
  );
  expect(() => check(2, 1, 0.333)).toThrow("--max-dropped 0.34 goes on without them");
  expect(() => check(2, 1, 0.333)).toThrow("maxDropped allows 33.3 %");
  expect(() => check(94, 6, 0.05, 140)).toThrow(
    "the model's context of 140 tokens is too short for them: shorten them, --max-dropped 0.06",
  );
});
