/** What ranks other than the first have instead of files, and how a command ends that ran in a team. */

import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { localTeams } from "../../test/local_ranks.ts";
import { adapterFolder } from "../open/locate.ts";
import { noLock, noRecords, noWriter, rankView } from "./other_ranks.ts";
import { ReportedError } from "./reported_error.ts";
import { withTeam } from "./with_team.ts";

test("a process that nobody launched is a team of one, whose work and errors are its own", async () => {
  const said: string[] = [];
  const stderr = { write: (text: string) => said.push(text) };
  const config = { hosts: "auto", hostTimeout: 60 } as const;
  const found = await withTeam(config, stderr, async (team) => {
    expect(team).toMatchObject({ size: 1, rank: 0, isFirst: true });
    await Promise.resolve();
    return 42;
  });
  expect(found).toBe(42);
  const mine = new Error("mine");
  await expect(withTeam(config, stderr, () => Promise.reject(mine))).rejects.toBe(mine);
  await expect(withTeam(config, stderr, () => adapterFolder("/no/such/adapter", () => {}))).rejects.toThrow(
    /^Cannot use/,
  );
  expect(said).toEqual([]);
});

/** Both of two ranks do this in a team; what each got, in which order everything happened, and what was printed. */
async function twoRanks<T>(work: (rank: number) => Promise<T>, closing: (call: number, rank: number) => Promise<void>) {
  const happened: string[] = [];
  const said: string[] = [];
  const config = { hosts: "mpi", hostTimeout: 60 } as const;
  const results = await Promise.all(
    localTeams(2).communicators.map((communicator, rank) => {
      let calls = 0;
      const close = async () => {
        await closing(calls++, rank);
        happened.push(`rank ${rank} closed`);
      };
      const open = async ({ kind, startLimitMs }: { kind: string; startLimitMs?: number | undefined }) => {
        happened.push(`rank ${rank} opens ${kind} for ${startLimitMs} ms`);
        return { ...communicator, close };
      };
      const inTeam = async () => {
        const result = await work(rank);
        happened.push(`rank ${rank} worked`);
        return result;
      };
      return withTeam(config, { write: (text) => said.push(text) }, inTeam, open)
        .catch((error: unknown) => error)
        .finally(() => happened.push(`rank ${rank} is back`));
    }),
  );
  return { results, said, of: (rank: number) => happened.filter((line) => line.startsWith(`rank ${rank}`)) };
}

test("each rank opens the team, works, and is back when its communicator is closed", async () => {
  const { results, said, of } = await twoRanks(
    async (rank) => rank + 5,
    () => sleep(20),
  );
  expect(results).toEqual([5, 6]);
  expect(said).toEqual([]);
  for (const rank of [0, 1]) {
    const lines = ["opens mpi for 120000 ms", "worked", "closed", "is back"];
    expect(of(rank)).toEqual(lines.map((line) => `rank ${rank} ${line}`));
  }
});

test("what one rank throws alone is said with its number before it leaves, and it leaves though closing fails once", async () => {
  const own = new Error("the disk is gone");
  const { results, said, of } = await twoRanks(
    async (rank) => {
      if (rank === 1) throw own;
      return "fine";
    },
    async (call, rank) => {
      await sleep(20);
      if (rank === 1 && call === 0) throw new Error("others wait for something else");
    },
  );
  expect(said).toEqual(["rank 1 of 2: the disk is gone\n"]);
  expect(results[1]).toBeInstanceOf(ReportedError);
  expect((results[1] as Error).cause).toBe(own);
  expect(of(1)).toEqual(["rank 1 opens mpi for 120000 ms", "rank 1 closed", "rank 1 is back"]);
  expect(results[0]).toBe("fine");
});

test("a rank that cannot be closed at all leaves with what it failed of", async () => {
  const own = new Error("mine");
  const { results } = await twoRanks(
    () => Promise.reject(own),
    () => Promise.reject(new Error("no network")),
  );
  for (const error of results) expect((error as Error).cause).toBe(own);
});

test("a rank that writes nothing answers everything at once", async () => {
  const { metrics, receipt, events } = noRecords;
  metrics.write({} as never);
  receipt.add({} as never);
  events.write({} as never);
  expect(receipt.chain()).toBeUndefined();
  for (const file of [metrics, receipt, events]) file.close();
  await noWriter.ready;
  const answers = [
    noWriter.save({} as never),
    noWriter.copied(),
    noWriter.drain(1),
    noWriter.rescue("x"),
    noWriter.forget(),
    noWriter.close(),
    noLock.check(),
    noLock.confirm(),
    noLock.release(),
  ];
  expect(await Promise.all(answers)).toEqual(answers.map(() => undefined));
});

test("of another rank only the deaths of its workers are heard, by its number", () => {
  const lines: string[] = [];
  const view = rankView(3, (line) => lines.push(line));
  view.phase({ name: "x" });
  view.warn("x");
  view.note("x");
  view.checkpoint("x");
  view.device({ type: "worker-started", device: 0, engineName: "x", loadMs: 1 });
  const death = { type: "worker-died", device: 1, reason: "gone", lastOperation: "step 2 cell 0" } as const;
  view.device({ ...death, restarts: true });
  view.device({ ...death, restarts: false });
  expect(lines).toEqual([
    "rank 3: worker 1 died at step 2 cell 0 (gone): it is started again",
    "rank 3: worker 1 died at step 2 cell 0 (gone): it died too often and is not started again",
  ]);
});
