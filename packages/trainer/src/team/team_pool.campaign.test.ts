/** What the speed of a rank changes: it must be slow to be seen. The rest: team_pool.integration.test.ts. */
import { expect, test } from "vitest";
import { cells, openFaulty, step } from "../../../workers/test/faulty_pool.ts";
import { ranksOver, tokensOf } from "../../test/team_pools.ts";

test("a slow rank gets less of the next step, and a late one as long as ten of the slowest steps", async () => {
  const slow = cells.flat().map((sample) => ({ kind: "slow", sample, times: Number.POSITIVE_INFINITY }));
  const { onAll, meetings } = ranksOver([(await openFaulty(1, [])).faulty, (await openFaulty(1, slow)).faulty]);
  const shareOf = async (version: number) =>
    (await onAll((pool) => pool.runStep({ ...step, version })))[0]?.hostTokens ?? [];
  const [, even = 0] = await shareOf(1);
  const [, less = 0] = await shareOf(2);
  expect(even).toBeGreaterThan(tokensOf(cells.flat()) / 4);
  expect(less).toBeLessThan(even);
  const [before, after] = [meetings[0], meetings.at(-1)];
  expect(before?.limitMs).toBe(1000);
  expect(after?.limitMs).toBeGreaterThan(1000);
});
