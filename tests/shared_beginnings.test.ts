/** Runs that compute beginnings once: the same bits for any number of workers, close to those that compute every token. */
import { expect, test } from "vitest";
import { folder, resume, run, train } from "./support/disturbed_runs.ts";
import { zerogateHere } from "./support/here.ts";
import { expectOneAdapter } from "./support/shared_beginnings.ts";
import { adapterHash } from "./support/world.ts";

const shared = ["--shared-beginnings"];

// First-fit cells, and more workers: shared_beginnings.campaign.test.ts.
test("even cells: 1 and 3 workers, and processes, train one adapter", async () => {
  await expectOneAdapter("even cells", ["--cell-multiple", "2"], [3]);
});

test("a run keeps what it began with: resume refuses the other, and verify repeats it", async () => {
  expect(await train("kept", 2, shared)).toMatchObject({ code: 0 });
  const other = await zerogateHere(["resume", "kept", "--no-shared-beginnings"], { cwd: folder });
  expect(other).toMatchObject({ code: 2 });
  expect(other.stderr).toContain("sharedBeginnings");
  expect(await resume("kept", 3)).toMatchObject({ code: 0 });
  const before = adapterHash(run("kept"));
  const verified = await zerogateHere(["verify", "kept", "--replay", "1..2"], { cwd: folder });
  expect(verified, verified.stderr).toMatchObject({ code: 0 });
  expect(adapterHash(run("kept"))).toBe(before);
});
