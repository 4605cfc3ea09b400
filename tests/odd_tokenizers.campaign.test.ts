/** A base whose regular expression never ends, under training and Ctrl-C: it waits for the clock. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { writeEndless } from "./support/odd_bases.ts";
import { tinyRun } from "./support/world.ts";

const cwd = testFolder();

test("an expression that never ends does not hold up train or Ctrl-C [T-B5]", async () => {
  writeEndless(join(cwd, "endless"));
  const flags = tinyRun(cwd, {
    "--model": "endless",
    "--data": "many.json",
    "--steps": "1",
    "--adapter-len": "2",
    "--adapter-layers": "1",
    "--engine": "reference",
  });
  const record = { instruction: "z".repeat(60), input: "", output: "z" };
  writeFileSync(join(cwd, "many.json"), JSON.stringify(Array.from({ length: 600 }, () => record)));
  const trained = await zerogateHere(["train", ...flags, "--out", "endless-run"], { cwd });
  expect(trained).toMatchObject({ code: 2, stderr: expect.stringContaining("takes too long") });
  const stopped = await zerogate(["train", ...flags, "--out", "stopped-run"], {
    cwd,
    onStart: (send) => void setTimeout(() => send("SIGINT"), 1_500),
  });
  expect([2, 130]).toContain(stopped.code);
});
