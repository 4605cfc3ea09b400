/** Too few open files: one message with what to type, at any point of the start. */
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { base, tinyRun } from "./support/world.ts";

const folder = testFolder();
tinyRun(folder);

test.skipIf(process.platform === "win32").each([32, 64])(
  "ulimit -n %i: the command ends with 1 and says how to raise it [T-B11]",
  async (openFiles) => {
    const args = ["train", "--model", base, "--data", "held.json", "--out", "run"];
    const { code, stdout, stderr } = await zerogate(args, { cwd: folder, openFiles });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/EMFILE.*\n *Raise the limit on open files: ulimit -n 4096\n$/);
    expect(stderr).not.toMatch(/\n {4}at /);
  },
);
