/** The template and the BOS rule of an adapter: stored with it, used by what reads it, reported if it is missing. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { absentModules, runPython } from "./support/python.ts";
import { adapterHash, base, tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const own = { withInput: "Q: {instruction} ({input})\nA:", withoutInput: "Q: {instruction}\nA:" };
const short = { "--steps": "2", "--adapter-len": "2", "--adapter-layers": "1", "--engine": "reference" };
const run = (...args: string[]) => zerogateHere(args, { cwd });
const generate = (...args: string[]) =>
  run("generate", "--model", "silent", "--engine", "reference", "--max-new-tokens", "1", "--json", ...args);
const said = (text: string, part: string) => text.split(part).length - 1;

/** A base like SmolLM's: a BOS is named, and tokenizer.json puts nothing in front. */
function writeSilentBase(folder: string): void {
  cpSync(base, folder, { recursive: true });
  const path = join(folder, "tokenizer.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), post_processor: null }));
}

beforeAll(async () => {
  writeSilentBase(at("silent"));
  writeFileSync(at("own.json"), JSON.stringify(own));
  const flags = { ...short, "--model": "silent", "--template": "own.json" };
  for (const [out, changes] of Object.entries({ run: {}, named: { "--bos": "named", "--template": "plain" } })) {
    const trained = await run("train", ...tinyRun(cwd, { ...flags, ...changes }), "--out", out);
    expect(trained.code, trained.stderr).toBe(0);
  }
  cpSync(at("run", "adapter"), at("silent-about-it"), { recursive: true });
  rmSync(at("silent-about-it", "zerogate.json"));
});

test("adapter and checkpoints hold the texts of the template, its name without the folder, and the rule [T-D2, T-A5]", () => {
  const format = { version: 1, template: { name: "own.json", ...own }, bos: "tokenizer" };
  for (const folder of [at("run", "adapter"), at("run", "checkpoints", "step-2")])
    expect(JSON.parse(readFileSync(join(folder, "zerogate.json"), "utf8"))).toEqual(format);
});

test("generate, chat and eval write prompts as the adapter's were [T-D2]", async () => {
  const asked = ["--adapter", "run/adapter", "--instruction", "Name it"];
  const answered = await generate(...asked);
  expect(answered.json[0]).toMatchObject({ prompt: "Q: Name it\nA:" });
  expect(answered.stderr).not.toContain("run/adapter");
  const other = await generate(...asked, "--template", "plain");
  expect(other.json[0]).toMatchObject({ prompt: "Name it\n" });
  expect(other.stderr).toContain('run/adapter was trained with the template "own.json", and is used with "plain"');

  const evaluate = async (...flags: string[]) => {
    const { stderr, json } = await run("eval", "--model", "silent", "--data", "held.json", "--json", ...flags);
    return { stderr, loss: json[0]?.["loss"] };
  };
  const plain = await evaluate("--adapter", "run/adapter");
  const spelled = await evaluate("--adapter", "run/adapter", "--template", "own.json", "--bos", "tokenizer");
  expect(spelled.loss).toBe(plain.loss);
  const named = await evaluate("--adapter", "run/adapter", "--bos", "named");
  expect(named.loss).not.toBe(plain.loss);
  expect(named.stderr).toContain('run/adapter was trained with bos "tokenizer", and is used with "named"');

  const chat = ["chat", "--model", "silent", "--engine", "reference", "--max-new-tokens", "4"];
  const talk = async (...flags: string[]) => {
    const { code, stdout } = await zerogateHere([...chat, ...flags], { cwd, input: "Name item\n" });
    expect(code).toBe(0);
    return stdout;
  };
  const verbatim = await run(...chat.with(0, "generate"), "--adapter", "run/adapter", "--prompt", "Q: Name item\nA:");
  expect(await talk("--adapter", "run/adapter")).toBe(verbatim.stdout);
});

test("adapters side by side are asked each as they were trained [T-D2]", async () => {
  const { json } = await generate("--compare", "run/adapter=a", "named/adapter=b", "--instruction", "Name it");
  const answers = json[0]?.["answers"] as { adapter: string | null; prompt?: string }[];
  expect(json[0]).toMatchObject({ prompt: "Q: Name it\nA:" });
  expect(answers.map(({ adapter, prompt }) => [adapter, prompt])).toEqual([
    [null, undefined],
    ["a", undefined],
    ["b", "Name it\n"],
  ]);
});

test("an adapter that does not say it gets the named BOS, which is reported once [T-A5, T-case11]", async () => {
  const line = "silent-about-it does not say what goes in front of its prompts: <s> is put there, as before 0.2.0";
  const asked = ["--adapter", "silent-about-it", "--template", "own.json", "--instruction", "Name it"];
  const old = await generate(...asked);
  expect(said(old.stderr, line)).toBe(1);
  expect((await generate(...asked, "--bos", "tokenizer")).stderr).not.toContain(line);
  const withBos = await run("generate", "--model", base, ...asked, "--engine", "reference", "--max-new-tokens", "1");
  expect(withBos.stderr).not.toContain("what goes in front"); // both rules put the same there
});

test("verify compares the file, and a resume puts back one that is missing [T-D2]", async () => {
  const file = at("run", "adapter", "zerogate.json");
  const stored = readFileSync(file, "utf8");
  const verified = () => run("verify", "run", "--model", "silent");
  expect((await verified()).code).toBe(0);
  writeFileSync(file, stored.replace('"tokenizer"', '"named"'));
  expect(await verified()).toMatchObject({ code: 3, stdout: expect.stringContaining("adapter/zerogate.json") });
  rmSync(file);
  expect((await verified()).code).toBe(3);
  expect((await run("resume", "run")).code).toBe(0);
  expect(readFileSync(file, "utf8")).toBe(stored);
  expect(existsSync(at("run", "rewound"))).toBe(false);
});

test("the file is shown, compared, kept by convert and asked for by average [T-D2]", async () => {
  const shown = await run("adapters", "show", "run/adapter", "--json");
  expect(shown.json[0]).toMatchObject({ promptFormat: { template: { name: "own.json" }, bos: "tokenizer" } });
  expect((await run("adapters", "show", "silent-about-it")).stdout).toMatch(/template not said\nbos {6}not said/);
  const listed = await run("adapters", "list", "run", "--json");
  expect(listed.json[0]).toMatchObject({ template: "own.json", bos: "tokenizer" });
  expect((await run("inspect", "run/adapter", "--json")).json[0]).toMatchObject({ template: "own.json" });
  const differs = await run("adapters", "diff", "run/adapter", "named/adapter", "--json");
  expect(JSON.stringify(differs.json[0]?.["config"])).toContain('{"name":"bos","a":"tokenizer","b":"named"}');
  expect(differs.code).toBe(1);

  await run("convert", "run/adapter", "converted", "--to", "zerogate");
  expect(readFileSync(at("converted", "zerogate.json"), "utf8")).toContain("own.json");
  const file = await run("convert", "run/adapter", "adapter.pth", "--to", "original", "--model", "silent");
  expect(file.stderr).toContain('a file of original has no place for the prompt template "own.json"');

  const refused = await run("adapters", "average", "run/adapter", "named/adapter", "--out", "mean");
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('named/adapter was trained with template "plain"'),
  });
  const mean = await run("adapters", "average", "run/adapter", "silent-about-it", "--out", "mean");
  expect(mean.stderr).toContain("not all of the adapters say how their prompts were written");
  expect(readFileSync(at("mean", "zerogate.json"), "utf8")).toContain("own.json");
});

test("the rule decides what is trained, and is part of a run's identity [T-A5]", async () => {
  const flags = tinyRun(cwd, { ...short, "--model": "silent", "--template": "own.json", "--bos": "named" });
  expect((await run("train", ...flags, "--out", "other")).code).toBe(0);
  expect(adapterHash(at("other"))).not.toBe(adapterHash(at("run")));
  const resumed = await run("resume", "run", "--bos", "named", "--steps", "3");
  expect(resumed).toMatchObject({ code: 2, stderr: expect.stringContaining("bos") });
});

const absent = absentModules("peft", "torch", "transformers");
describe(`PEFT${absent}`, () => {
  test.skipIf(absent !== "")(
    "loads the folder without a warning about the file, to the same numbers [T-D2]",
    async () => {
      const script = fileURLToPath(new URL("./peft/load_quietly.py", import.meta.url));
      await expect(
        runPython(script, at("silent"), at("run", "adapter"), at("silent-about-it")),
      ).resolves.toBeUndefined();
    },
  );
});
