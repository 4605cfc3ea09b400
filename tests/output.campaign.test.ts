/** Every other command on a full disk: a process each. The first of them: output_trouble.campaign.test.ts. */
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { noFull, onFullDisk } from "./support/full_disk.ts";
import { zerogateHere } from "./support/here.ts";
import { base, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder, { "--steps": "1", "--workers": "1", "--engine": "wasm" });

beforeAll(async () => {
  const whole = await zerogateHere(["train", ...flags, "--out", "whole"], { cwd: folder });
  expect(whole, whole.stderr).toMatchObject({ code: 0 });
});

describe.skipIf(noFull !== "")(`a full disk under the output${noFull}`, () => {
  test.each([
    ["inspect", base, "--json"],
    ["adapters", "list", "whole", "--json"],
    ["adapters", "show", "whole/adapter"],
    ["generate", "--model", base, "--prompt", "a", "--max-new-tokens", "3"],
    ["generate", "--model", base, "--prompt", "a", "--max-new-tokens", "3", "--json"],
    ["eval", "--model", base, "--data", "held.json", "--engine", "wasm", "--workers", "1", "--json"],
    ["verify", "whole", "--json"],
    ["--help"],
  ])("ends a command that has only that to do with 1 and one line: %s %s [T-B4]", async (...args) => {
    const { code, stderr } = await onFullDisk(folder, args);
    expect(code, stderr).toBe(1);
    expect(stderr).toMatch(/^Cannot write the output: ENOSPC: no space left on device, write$/m);
    expect(stderr).not.toMatch(/\n {4}at |node:|throw/);
  });
});
