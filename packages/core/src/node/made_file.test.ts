import { expect, test } from "vitest";
import { madeFile, wholeFile } from "./made_file.ts";
import { readFully } from "./regular_file.ts";

async function read(file: Parameters<typeof readFully>[0], begin: number, length: number): Promise<number[]> {
  const bytes = new Uint8Array(length);
  await readFully(file, bytes, begin);
  return [...bytes];
}

test("bytes that come in parts are read on to the end of what was asked for, and a lack of them is an error", async () => {
  const file = madeFile("a", async (begin, end) =>
    Uint8Array.of(begin, begin + 1).subarray(0, Math.min(end, 7) - begin),
  );
  expect(await read(file, 1, 5)).toEqual([1, 2, 3, 4, 5]);
  await expect(read(file, 5, 3)).rejects.toThrow("Cannot read a: it ends at byte 7");
});

test("what is made at once is made once for all its parts, in any order, and again for who reads it again", async () => {
  let made = 0;
  const file = wholeFile("a", 6, async () => {
    made++;
    return Uint8Array.of(10, 11, 12, 13, 14, 15);
  });
  expect([await read(file, 4, 2), await read(file, 0, 2), await read(file, 2, 2)]).toEqual([
    [14, 15],
    [10, 11],
    [12, 13],
  ]);
  expect(made).toBe(1);
  expect(await read(file, 3, 2)).toEqual([13, 14]);
  expect(made).toBe(2);
});
