/** What ranks other than the first have instead of files, and how a command ends that ran in a team. */
import { expect, test } from "vitest";
import { adapterFolder } from "../open/locate.ts";
import { noLock, noRecords, noWriter, rankView } from "./other_ranks.ts";
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
