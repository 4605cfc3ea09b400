import { computeNames, engineNames, storageNames } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { run } from "../../test/run_cli.ts";
import { sections } from "../commands/list.ts";

const commands = sections.flatMap(({ commands: entries }) =>
  entries.flatMap((entry) =>
    "commands" in entry ? entry.commands.map(({ name }) => `${entry.name} ${name}`) : [entry.name],
  ),
);

test.each(commands)(
  "%s --help fits 80 columns, marks what is required and ends with examples [T-D10]",
  async (words) => {
    const path = words.split(" ");
    const { code, stdout, stderr } = await run(...path, "--help");
    expect([code, stderr]).toEqual([0, ""]);
    const [flags = "", examples = ""] = stdout.split("\nExamples:\n");
    for (const line of flags.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(examples).toContain(`  zerogate ${words}`);
    expect(stdout).not.toMatch(/undefined|\[object/);

    const required = /\nRequired:\n([\s\S]*?)\n\n/.exec(stdout)?.[1] ?? "";
    const names = [...required.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, name = ""]) => name);
    const lines = examples
      .split("\n")
      .filter((line) => /^ {2}zerogate/.test(line) && !line.includes("--config run.yaml"));
    for (const line of lines) for (const name of names) expect(line).toContain(name);
  },
);

test.each([["train"], ["resume"], ["eval"], ["generate"], ["chat"], ["serve"]])(
  "%s --help names every engine, storage and arithmetic [T-D10]",
  async (name) => {
    const { stdout } = await run(name, "--help");
    const words = stdout.replace(/\s+/g, " ");
    for (const choices of [engineNames, storageNames, computeNames]) expect(words).toContain(`(${choices.join(", ")}`);
  },
);

test("a group of commands says what belongs to it, and a wrong line what is right", async () => {
  expect(await run("adapters")).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringMatching(/ {2}average +mean/),
  });
  expect(await run("help", "rewind")).toEqual(await run("rewind", "--help"));
  const says = async (...argv: string[]) => (await run(...argv)).stderr.trimEnd();
  expect(await says("adapters", "dif", "a", "b")).toBe(
    "Cannot run zerogate adapters: there is no command dif, did you mean diff? (zerogate adapters --help lists all commands)",
  );
  expect(await says("eval")).toBe(
    "Cannot evaluate: neither --data nor --task is given: name instruction files or a benchmark",
  );
  expect(await says("cluster", "init", "slurm")).toContain(
    "--config <file> (config of the run, seen by all hosts under this path) and --run <dir> (run directory, on a file system that " +
      "all hosts share) are missing",
  );
  expect(await says("resume")).toContain("Cannot run zerogate resume: <run> is missing");
  expect(await says("train", "--lr")).toContain("--lr <x> needs a value");
  expect(await says("train", "base", "data.json")).toContain(
    '"base", "data.json" have no flag, it takes flags only, as --model <dir|name> --data <files...> --out <dir>',
  );
});
