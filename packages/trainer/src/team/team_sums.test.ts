/** Memory of one exchange: slots first, each of its job's size, then a row a rank, and nothing of an earlier call. */
import type { DeviceJob, Step } from "@zerogate/workers";
import { expect, test } from "vitest";
import { createTeamSums, ROW } from "./team_sums.ts";

const job = (id: string, length: number) => ({ id, layout: { length } }) as unknown as DeviceJob;
const step = (id: string) => ({ job: id }) as unknown as Step;
const jobs = [job("a", 5), job("b", 7)];

test("the ranks add up what was laid out, no word more or less", () => {
  const sums = createTeamSums({ size: 2, jobs, maxCells: 4 });
  const words = { a: 5 + 3 + 4, b: 7 + 3 + 4 };
  const rows = 2 * ROW.length;
  expect(sums.values([step("a")])).toHaveLength(words.a + rows);
  expect(sums.values([step("b")])).toHaveLength(words.b + rows);
  expect(sums.values([step("b"), step("a")])).toHaveLength(words.a + words.b + rows);

  const laid = sums.layOut([step("b"), step("a")]);
  expect(laid.slots.map(({ parameters, maxCells }) => ({ parameters, maxCells }))).toEqual([
    { parameters: 7, maxCells: 4 },
    { parameters: 5, maxCells: 4 },
  ]);
  for (const [n, { sums: words_W }] of laid.slots.entries()) words_W.fill(n + 1);
  for (const [r, row] of laid.rows.entries()) row.fill(BigInt(r + 10));
  const both = (low: number) => BigInt(low) * (2n ** 32n + 1n); // two words of 32 bits
  expect([...sums.values([step("b"), step("a")])]).toEqual([
    ...Array.from({ length: words.b }, () => both(1)),
    ...Array.from({ length: words.a }, () => both(2)),
    ...Array.from({ length: ROW.length }, () => 10n),
    ...Array.from({ length: ROW.length }, () => 11n),
  ]);
});

test("what an earlier call left is gone", () => {
  const sums = createTeamSums({ size: 1, jobs, maxCells: 4 });
  for (const row of sums.layOut([step("a")]).rows) row.fill(9n);
  sums.layOut([step("a")]);
  expect([...sums.values([step("a")])].every((value) => value === 0n)).toBe(true);
});
