import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { localTeams } from "../../test/local_ranks.ts";
import type { OpenTeam } from "./team.ts";

test("what each rank gives is there on all of them, by rank, however long it is", async () => {
  const { all, meetings } = localTeams(3);
  const given = (rank: number) => ({ rank, text: "x".repeat(7 * rank + 1), list: [rank, null], absent: undefined });
  const found = await all((team) => team.collect("saying it", async () => given(team.rank)));
  expect(found).toEqual([0, 1, 2].map(() => [0, 1, 2].map(given)));
  expect(new Set(meetings.map(({ phase }) => phase))).toEqual(new Set(["saying it"]));
});

test("what the first rank finds all get a copy of, and the others do not look for it", async () => {
  const { all } = localTeams(3);
  const asked: number[] = [];
  const found = await all((team) =>
    team.fromFirst("looking", async () => {
      asked.push(team.rank);
      return { file: "a", bytes: Uint8Array.of(1, 2, 3) };
    }),
  );
  expect(found).toEqual([0, 1, 2].map(() => ({ file: "a", bytes: Uint8Array.of(1, 2, 3) })));
  expect(asked).toEqual([0]);
  expect(found[0]).not.toBe(found[1]);
});

test("a rank alone does its work and meets nobody", async () => {
  const { teams, meetings } = localTeams(1);
  const [team] = teams as [OpenTeam];
  expect(team.isFirst).toBe(true);
  expect(await team.agree("a", async () => 1)).toBe(1);
  expect(await team.collect("b", async () => 2)).toEqual([2]);
  expect(await team.fromFirst("c", async () => 3)).toBe(3);
  await expect(team.agree("d", () => Promise.reject(new Error("mine")))).rejects.toThrow(/^mine$/);
  expect(meetings).toEqual([]);
});

const failing = (at: readonly number[], error: (rank: number) => Error) => async (team: OpenTeam) =>
  await team.agree("working", async () => {
    if (at.includes(team.rank)) throw error(team.rank);
    return team.rank;
  });

test("what one rank throws all throw, with its rank, class and problems", async () => {
  const { all, teams } = localTeams(3);
  const errors: Error[] = [];
  await all((team) =>
    failing(
      [1],
      () => new InputError("Cannot read", ["a", "b"]),
    )(team).catch((error: unknown) => void errors.push(error as Error)),
  );
  expect(errors.map(({ message }) => message)).toEqual([0, 1, 2].map(() => "rank 1 of 3: Cannot read:\n  - a\n  - b"));
  for (const error of errors) expect(error).toBeInstanceOf(InputError);
  // Rank 0 tells it for all.
  expect(teams.map((team, rank) => team.lineFor(errors[rank]))).toEqual([errors[0]?.message, undefined, undefined]);
  expect(teams[1]?.lineFor(new Error("wrapped", { cause: errors[1] }))).toBeUndefined();
});

test("if several fail each throws its own, the others that of the first", async () => {
  const { all } = localTeams(4);
  expect(await all(failing([1, 3], (rank) => new Error(`no ${rank}`)))).toEqual([
    "rank 1 of 4: no 1",
    "rank 1 of 4: no 1",
    "rank 1 of 4: no 1",
    "rank 3 of 4: no 3",
  ]);
});

test("an abort keeps its words", async () => {
  const { all } = localTeams(2);
  const abort = () => new DOMException("stopped", "AbortError");
  const found = await all(failing([0], abort));
  expect(found[0]).toBe("stopped");
});

test("an error of one rank alone is reported by that rank, by its number", async () => {
  const { teams } = localTeams(2);
  expect(teams.map((team) => team.lineFor(new Error("mine")))).toEqual(["rank 0 of 2: mine", "rank 1 of 2: mine"]);
  expect(teams[1]?.lineFor("a string")).toBe("rank 1 of 2: a string");
  const known = new InputError("Cannot train together", "no");
  expect(() => teams[1]?.fail(known)).toThrow(known);
  expect(teams[1]?.lineFor(known)).toBeUndefined();
  expect(teams[0]?.lineFor(known)).toBe("rank 0 of 2: Cannot train together: no");
});

test("what breaks the network is reported at once by every rank, and not again", async () => {
  const { teams, told, cut } = localTeams(2);
  const [first] = teams as [OpenTeam];
  const waiting = first.agree("step 3", async () => 1).catch((error: unknown) => error as Error);
  await new Promise((resolve) => setTimeout(resolve, 10));
  cut("rank 1 is late");
  const error = await waiting;
  expect(told).toEqual(["rank 0 of 2: rank 1 is late"]);
  expect(first.lineFor(error)).toBeUndefined();
});

test("sums and copies change the numbers of all ranks in place", async () => {
  const { all } = localTeams(3);
  const found = await all(async (team) => {
    const values = new BigInt64Array(new SharedArrayBuffer(16));
    values.set([BigInt(team.rank), 10n]);
    await team.sum("adding", values);
    const bytes = new Uint8Array(new SharedArrayBuffer(2)).fill(team.rank + 5);
    await team.broadcast("copying", bytes);
    return [[...values], [...bytes]];
  });
  expect(found).toEqual(
    [0, 1, 2].map(() => [
      [3n, 30n],
      [5, 5],
    ]),
  );
});

test("a late rank has the limit, times the factor of the phase, and ten of the longest steps at least", async () => {
  const { all, meetings } = localTeams(2, 5000);
  const agree = (limitFactor?: number) => all((team) => team.agree("x", async () => 1, limitFactor));
  await agree();
  await agree(3);
  await all(async (team) => {
    team.expect(200);
    await team.agree("x", async () => 1);
    team.expect(2000);
    team.expect(700);
    await team.agree("x", async () => 1, 2);
  });
  const limits = meetings.map(({ limitMs }) => limitMs);
  expect([...new Set(limits)]).toEqual([5000, 15_000, 40_000]);
});
