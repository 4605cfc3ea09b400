/** Further runs that must train the same bits: another engine, even cells, a run that is stopped at each step. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { disturb, folder, interrupt, on, outcome, resume, run, type Trained, train } from "./support/disturbed_runs.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, records, tinyRun } from "./support/world.ts";

let whole: Trained;

beforeAll(async () => {
  expect(await train("whole", 2)).toMatchObject({ code: 0 });
  whole = outcome("whole");
});

test("the reference engine too trains the same bits with any number of workers", async () => {
  writeFileSync(join(folder, "few.json"), JSON.stringify(records("heldout.json", 2)));
  const few = { "--engine": "reference", "--validation-data": "few.json", "--batch-size": "4", "--steps": "2" };
  for (const workers of [1, 3]) {
    const own = ["--out", `reference-${workers}`, "--workers", String(workers)];
    const done = await zerogateHere(["train", ...tinyRun(folder, few), ...own], { cwd: folder });
    expect(done).toMatchObject({ code: 0 });
  }
  expect(outcome("reference-3")).toEqual(outcome("reference-1"));
});

test("even cells: any number of workers and a resume give one adapter, which is not that of first-fit cells", async () => {
  const even = ["--cell-multiple", "3"];
  for (const workers of [1, 2, 5]) {
    expect(await train(`even-${workers}`, workers, even)).toMatchObject({ code: 0 });
  }
  expect(outcome("even-2")).toEqual(outcome("even-1"));
  expect(outcome("even-5")).toEqual(outcome("even-1"));
  expect(adapterHash(run("even-1"))).not.toBe(whole.adapter);
  await disturb("even-stopped", 2, on(/"event":"step","step":3,/, "SIGKILL"), even);
  expect(await resume("even-stopped", 3)).toMatchObject({ code: 0 });
  expect(outcome("even-stopped")).toEqual(outcome("even-1"));
  const otherwise = await zerogateHere(["resume", "even-1", "--cell-multiple", "2"], { cwd: folder });
  expect(otherwise).toMatchObject({ code: 2 });
  expect(otherwise.stderr).toContain("cellMultiple");
});

test("a run that is interrupted again and again resumes to the same bits", async () => {
  let call = await interrupt("often", 1, on(/"step"/, "SIGINT"));
  let interruptions = 0;
  for (; call.code === 130; interruptions++) {
    call = await zerogateHere(["resume", "often", "--json"], { cwd: folder, ...on(/"step"/, "SIGINT") });
  }
  expect(call.code).toBe(0);
  expect(interruptions).toBeGreaterThan(1);
  expect(outcome("often")).toEqual(whole);
});
