/** Forty tokenizers over forty texts: the ids of the Python library `tokenizers`, as stored and, if it is installed, live. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { absentModules, python } from "../../../tests/support/python.ts";
import { cases } from "../test/tokenizers/cases.ts";
import { texts } from "../test/tokenizers/texts.ts";
import { createTokenizer, loadTokenizer } from "./tokenizer.ts";

const folder = fileURLToPath(new URL("../test/tokenizers/", import.meta.url));
/** Ids by tokenizer and text; UPDATE_GOLDEN=1 writes those of the Python library. */
const goldenFile = join(folder, "golden.json");
/** Every other text is in the file. */
const stored = texts.filter((_, i) => i % 2 === 1);

type Ids = readonly (readonly number[])[];
type Golden = Readonly<Record<string, Ids>>;

const files = cases.map(({ name, json }) => ({
  directory: name,
  tokenizerJson: JSON.stringify(json),
  tokenizerConfigJson: '{"eos_token": "</s>"}',
  specialTokensMapJson: "{}",
}));

/** With what the post-processor adds, and without. */
function idsOfPython(): { version: string; ids: [whole: number[], text: number[]][][] } {
  const work = mkdtempSync(join(tmpdir(), "zerogate-parity-"));
  onTestFinished(() => rmSync(work, { recursive: true }));
  const [source, target] = [join(work, "job.json"), join(work, "ids.json")];
  writeFileSync(source, JSON.stringify({ tokenizers: files.map(({ tokenizerJson }) => tokenizerJson), texts }));
  execFileSync(python, [join(folder, "encode.py"), source, target]);
  return JSON.parse(readFileSync(target, "utf8"));
}

test("there are at least thirty tokenizers of different names, and forty texts", () => {
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  expect(cases.length).toBeGreaterThanOrEqual(30);
  expect(new Set(texts).size).toBe(40);
});

test.each(files)("$directory: the stored ids of tokenizers 0.23 [T-A4, T-case15]", (tokenizerFiles) => {
  const golden = JSON.parse(readFileSync(goldenFile, "utf8")) as Golden;
  const { encode } = createTokenizer(tokenizerFiles);
  for (const [i, text] of stored.entries())
    expect(encode(text), JSON.stringify(text)).toEqual(golden[tokenizerFiles.directory]?.[i]);
});

const absent = absentModules("tokenizers");
test.skipIf(absent !== "")(`the ids are those of the installed library${absent} [T-A4, T-case15]`, () => {
  const { ids } = idsOfPython();
  for (const [c, tokenizerFiles] of files.entries()) {
    const { directory } = tokenizerFiles;
    const { encode } = createTokenizer(tokenizerFiles);
    for (const [t, text] of texts.entries()) {
      const where = `${directory}, ${JSON.stringify(text)}`;
      expect([encode(text), encode(text, { addSpecialTokens: false })], where).toEqual(ids[c]?.[t]);
    }
  }
  const golden = Object.fromEntries(
    files.map(({ directory }, c) => [directory, stored.map((text) => ids[c]?.[texts.indexOf(text)]?.[0])]),
  );
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(goldenFile, JSON.stringify(golden));
  expect(JSON.parse(readFileSync(goldenFile, "utf8"))).toEqual(golden);
});

const shared = fileURLToPath(new URL("../../../../shared/cases/15-metaspace-split/input", import.meta.url));
const isAbsent = !existsSync(shared);
test.skipIf(isAbsent)(
  `pieces of several spaces under Metaspace${isAbsent ? " (skipped: ../shared/cases is absent)" : ""} [T-A4, T-case15]`,
  async () => {
    const expected = JSON.parse(readFileSync(join(shared, "expected.json"), "utf8")) as Readonly<
      Record<string, number[]>
    >;
    const tokenizer = await loadTokenizer(shared);
    for (const [text, ids] of Object.entries(expected)) expect(tokenizer.encode(text), text).toEqual(ids);
  },
);
