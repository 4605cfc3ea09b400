/** `--fields` of commands besides `train`: records under other names are what they are under ours. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, records } from "./support/world.ts";

const cwd = testFolder();
const some = records("heldout.json", 6);
writeFileSync(join(cwd, "own.json"), JSON.stringify(some));
const others = some.map(({ instruction, input, output }) =>
  JSON.stringify({ t: { q: instruction }, more: input, r: output }),
);
writeFileSync(join(cwd, "others.jsonl"), others.join("\n"));
const fields = ["--fields", "instruction=t.q", "input=more", "output=r"];
const run = (...args: string[]) => zerogateHere([...args, "--model", base], { cwd });

test("eval and generate read columns by the map that they are given [D-columns-fields]", async () => {
  const own = await run("eval", "--data", "own.json", "--json");
  const mapped = await run("eval", "--data", "others.jsonl", ...fields, "--json");
  expect(mapped.code, mapped.stderr).toBe(0);
  expect(mapped.json).toEqual(own.json);
  const few = ["--max-new-tokens", "3", "--json"];
  const asked = await run("generate", "--prompts", "own.json", ...few);
  const answers = await run("generate", "--prompts", "others.jsonl", ...fields, ...few);
  expect(answers.code, answers.stderr).toBe(0);
  expect(answers.json).toEqual(asked.json);
  expect(asked.json).toHaveLength(6);
});

test("a map of no field of ours, for a task, or without a file is refused", async () => {
  const refused = [
    await run("eval", "--data", "own.json", "--fields", "answer=r"),
    await run("eval", "--task", "choices=own.json", ...fields),
    await run("generate", "--instruction", "x", ...fields),
  ];
  expect(refused.map(({ code }) => code)).toEqual([2, 2, 2]);
  expect(refused.map(({ stderr }) => stderr.trim())).toEqual([
    expect.stringMatching(
      /^Cannot evaluate: --fields is \["answer=r"\], expected auto, own, or fields with their columns/,
    ),
    "Cannot evaluate: --fields is given, which is for --data: tasks have fields of their own",
    "Cannot generate: --fields says how the file of --prompts is read: leave it out",
  ]);
});
