/** `zerogate data check`: text, JSON and page, and an exit code that says whether a run would take the data. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, records, tinyRun } from "./support/world.ts";

const cwd = testFolder();
tinyRun(cwd);
const check = (...args: string[]) => zerogateHere(["data", "check", ...args], { cwd });
const write = (name: string, content: unknown) => writeFileSync(join(cwd, name), JSON.stringify(content));

test("a leak planted between training and validation is reported, with exit code 1 and the places [D-check-leak]", async () => {
  const sound = await check("data.json", "--validation-data", "held.json");
  expect(sound, sound.stderr).toMatchObject({ code: 0 });
  expect(sound.stdout).toContain("\nno validation record is trained on\n");
  const [first] = records("train.json", 1);
  write("leaky.json", [...records("heldout.json", 2), { ...first, output: "otherwise" }, first]);
  const { code, stdout } = await check("data.json", "--validation-data", "leaky.json");
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /\n1 validation record trained on as they are\n {2}leaky\.json, record 3, like data\.json, record 0: /,
  );
  expect(stdout).toMatch(
    /\n1 validation record of which the question is trained on, with another answer\n {2}leaky\.json, record 2, /,
  );
});

test("bad records end with exit code 1, and are named as train names them [D-check-bad]", async () => {
  write("bad.json", [...records("train.json", 3), { instruction: "", output: "x" }, 7]);
  const { code, stdout, json } = await check("bad.json", "--json");
  expect({ code, stdout: json.length }).toEqual({ code: 1, stdout: 1 });
  const { stderr } = await zerogateHere(
    ["train", ...tinyRun(cwd, { "--data": "bad.json" }), "--out", "run", "--dry-run"],
    {
      cwd,
    },
  );
  const [{ problems } = { problems: [] }] = (json[0] as { sets: { problems: string[] }[] }).sets;
  expect(problems).toHaveLength(2);
  for (const problem of problems) expect(stderr).toContain(problem.replace(/^bad\.json/, ""));
  expect(stdout).toContain('"ok":false');
});

test("with a model tokens, cuts and trained tokens are those of a run [D-check-lengths]", async () => {
  const given = records("train.json", 64);
  write(
    "long.json",
    given.map((record, i) => (i < 5 ? { ...record, output: record.output.repeat(90) } : record)),
  );
  const asked = ["long.json", "--model", base, "--max-length", "128"];
  const { code, json, stderr } = await check(...asked, "--json");
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const [set] = (json[0] as { sets: { tokens: { cut: number; lengths: Lengths } }[] }).sets;
  const run = ["train", ...tinyRun(cwd, { "--data": "long.json" }), "--out", "run", "--dry-run"];
  const longest = set?.tokens.lengths.record.longest;
  expect((await zerogateHere(run, { cwd })).stderr).toContain(
    `5 records of data were cut at maxLength 128 (the longest has ${longest} tokens)`,
  );
  expect(set?.tokens.cut).toBe(5);
  expect((await check(...asked.with(4, "40"))).stdout).toMatch(
    /\n {2}bad: nothing of the answer of \d+ of 64 records fits into maxLength 40, and maxDropped allows 5 %\n/,
  );
  expect((await zerogateHere([...run, "--max-length", "40"], { cwd })).stderr).toContain(
    "as nothing of their answer fits into maxLength 40",
  );
});

interface Lengths {
  readonly record: { readonly longest: number };
}

test("the page shows all of it, runs nothing, and nothing that a record holds [D-check-page]", async () => {
  const hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>";
  const named = `${"x".repeat(30)}.json`;
  write(named, [
    { instruction: hostile, output: "" },
    { instruction: hostile, output: `\u0007${hostile}`, [hostile]: "x" },
  ]);
  const { code, stdout } = await check(named, "--validation-data", named, "--html", "page.html");
  expect(code).toBe(1);
  const page = readFileSync(join(cwd, "page.html"), "utf8");
  expect(page).not.toMatch(/<script|<img|javascript:|https?:/);
  expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'");
  expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(page).toContain("▲ A run would refuse some of it");
  for (const heading of ["Validation records", "Odd records", "Fields", "Scripts", "Longest and shortest"])
    expect(page).toContain(`<h2>${heading}</h2>`);
  expect(stdout).not.toContain("\u0007");
});

test("what cannot be checked is refused, and no page is written [D-check-bad]", async () => {
  const missing = await check("nothing.json", "--html", "none.html");
  expect(missing).toMatchObject({ code: 2 });
  expect(missing.stderr).toContain("Cannot read the data");
  expect(existsSync(join(cwd, "none.html"))).toBe(false);
  const long = await check("data.json", "--model", base, "--max-length", "9999");
  expect(long).toMatchObject({ code: 2 });
  expect(long.stderr).toContain("maxLength is 9999, the model's context is 256 tokens: use at most that");
});
