/** A pipe where a file is needed: it is named, and nothing waits for its other end. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { tinyTokenizerFiles } from "../test/tiny_tokenizer.ts";
import { listDataFiles } from "./data_files.ts";
import { prepareTokens } from "./prepare.ts";
import { readRecords } from "./records.ts";
import { loadTemplate } from "./templates.ts";
import { createTokenizer } from "./tokenizer.ts";

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-pipes-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

function pipeAt(path: string): string {
  execFileSync("mkfifo", [path]);
  return path;
}

const named = "it is a pipe, needed is a regular file: save what comes out of it to a file first";

describe.skipIf(process.platform === "win32")("a pipe", () => {
  test("as data, given itself or in a folder, is refused by name [T-B11]", async () => {
    const folder = await emptyFolder();
    const pipe = pipeAt(join(folder, "records.jsonl"));
    for (const path of [pipe, folder]) {
      await expect(listDataFiles(path)).rejects.toThrow(`Cannot read the data: ${pipe}: ${named}`);
      await expect(readRecords(path)).rejects.toThrow(`Cannot read the data: ${pipe}: ${named}`);
    }
  });

  test("as a template is refused by name [T-B11]", async () => {
    const pipe = pipeAt(join(await emptyFolder(), "template.json"));
    await expect(loadTemplate(pipe)).rejects.toThrow(`Cannot use the template "${pipe}": ${named}; use "alpaca"`);
  });

  test.each(["token file", "cache folder"])(
    "as a %s is warned about, and the data are tokenised [T-B11]",
    async (what) => {
      const folder = await emptyFolder();
      const paths = join(folder, "data.json");
      await writeFile(paths, JSON.stringify([{ instruction: "ab", output: "cd" }]));
      const cacheDir = join(folder, "cache");
      const warnings: string[] = [];
      const options = {
        paths,
        tokenizer: createTokenizer(tinyTokenizerFiles()),
        template: { name: "bare", withInput: "{instruction}{input}", withoutInput: "{instruction}" },
        rule: "response",
        maxLength: 12,
        cacheDir,
        onWarning: (message: string) => void warnings.push(message),
      } as const;
      const first = await prepareTokens(options);
      const [entry = ""] = await readdir(cacheDir);
      await rm(cacheDir, { recursive: true });
      if (what === "token file") {
        await mkdir(cacheDir);
        pipeAt(join(cacheDir, entry));
      } else {
        pipeAt(cacheDir);
      }
      const again = await prepareTokens(options);
      expect([again.isCached, again.tokens.hash]).toEqual([false, first.tokens.hash]);
      const says =
        what === "token file" ? [`${named}: tokenising again`] : ["needed is a folder", "Cannot keep the tokens"];
      expect(warnings).toEqual(says.map((text) => expect.stringContaining(text)));
      expect((await prepareTokens(options)).isCached).toBe(what === "token file");
    },
  );
});
