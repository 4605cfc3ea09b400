/** Runs on bases whose tokenizers are odd, and on one whose regular expression never ends. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { writeBase, writeEndless } from "./support/odd_bases.ts";
import { tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const run = (...args: string[]) => zerogateHere(args, { cwd });
const short = { "--steps": "1", "--adapter-len": "2", "--adapter-layers": "1", "--engine": "reference" };

beforeAll(() => {
  writeEndless(at("endless"));
  writeBase(at("padded"), ({ added_tokens }) => ({
    added_tokens: [
      ...(added_tokens as object[]),
      {
        id: 1024,
        content: "[PAD]",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
  }));
});

test("an expression that never ends does not hold up generate [T-B5]", async () => {
  const asked = ["generate", "--model", "endless", "--engine", "reference", "--max-new-tokens", "2", "--prompt"];
  expect((await run(...asked, "Name item")).code).toBe(0);
  const refused = await run(...asked, "z".repeat(60));
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('"(z+)+!" of tokenizer.json takes too long'),
  });
});

test("a padding token beyond the vocabulary is warned about, and refused in a text that holds it [T-C4, T-case17]", async () => {
  const flags = tinyRun(cwd, { ...short, "--model": "padded" });
  const trained = await run("train", ...flags, "--out", "padded-run");
  expect(trained.code, trained.stderr).toBe(0);
  expect(trained.stderr).toContain("the largest token id of");
  expect(trained.stderr).toContain("texts that hold one of the added tokens beyond it are refused");
  const asked = ["generate", "--model", "padded", "--engine", "reference", "--max-new-tokens", "2", "--prompt"];
  expect((await run(...asked, "Name item")).code).toBe(0);
  expect((await run(...asked, "Name [PAD]")).code).toBe(0); // ordinary text, as all that people type
  writeFileSync(
    at("turns.json"),
    JSON.stringify({ withInput: "{instruction}{input}", withoutInput: "{instruction}[PAD]" }),
  );
  const turns = ["--template", "turns.json", "--instruction", "Name"];
  const refused = await run(...asked.slice(0, -1), ...turns);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('its token "[PAD]" has the id 1024') });
});

for (const name of ["01-gpt2-tokenizer-without-model-type", "02-gpt2-eos-not-named"]) {
  const folder = fileURLToPath(new URL(`../../shared/cases/${name}/input`, import.meta.url));
  const isAbsent = !existsSync(folder);
  const title = `${name} trains${isAbsent ? " (skipped: ../shared/cases is absent)" : ""}`;
  test.skipIf(isAbsent)(`${title} [T-C1, T-case01, T-case02]`, async () => {
    const flags = ["--model", folder, "--data", join(folder, "data.json"), "--steps", "1", "--batch-size", "2"];
    const trained = await run("train", ...flags, "--engine", "reference", "--report-answers", "0", "--out", name);
    expect(trained.code, trained.stderr).toBe(0);
  });
}
