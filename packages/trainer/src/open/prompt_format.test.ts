import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PromptFormat } from "@zerogate/core";
import { loadTemplate, loadTokenizer } from "@zerogate/data";
import { expect, test } from "vitest";
import { promptFormatOf } from "./prompt_format.ts";

const base = fileURLToPath(new URL("../../world/base", import.meta.url));
const [alpaca, plain] = [await loadTemplate("alpaca"), await loadTemplate("plain")];

/** The base's tokenizer, and one that names a BOS and does not put it in front. */
const [puts, names] = await (async () => {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-format-"));
  cpSync(base, folder, { recursive: true });
  const path = join(folder, "tokenizer.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), post_processor: null }));
  const loaded = [await loadTokenizer(base), await loadTokenizer(folder)] as const;
  rmSync(folder, { recursive: true });
  return loaded;
})();

const formatOf = async (
  promptFormat: PromptFormat | "none" | undefined,
  flags: { template?: string; bos?: PromptFormat["bos"] } = {},
  tokenizer = names,
) => {
  const warnings: string[] = [];
  const adapter = promptFormat === "none" ? undefined : { folder: "RUN/adapter", promptFormat };
  const given = { template: flags.template, bos: flags.bos };
  const { template, bos } = await promptFormatOf(adapter, given, tokenizer, (warning) => warnings.push(warning));
  return { template: template.name, bos, warnings };
};

test("the two rules differ for a tokenizer that names a BOS and does not put it in front, and only for it", () => {
  expect(names.frontIds("named")).toHaveLength(1);
  expect(names.frontIds("tokenizer")).toEqual([]);
  expect(puts.frontIds("named")).toEqual(puts.frontIds("tokenizer"));
});

test("texts without an adapter are alpaca's, with what tokenizer.json puts in front, unless a flag says otherwise [T-A5, T-D2]", async () => {
  expect(await formatOf("none")).toEqual({ template: "alpaca", bos: "tokenizer", warnings: [] });
  expect(await formatOf("none", { template: "plain", bos: "named" })).toEqual({
    template: "plain",
    bos: "named",
    warnings: [],
  });
});

test("an adapter's prompts are written as those that it was trained on, without a word [T-A5, T-D2]", async () => {
  for (const bos of ["named", "tokenizer"] as const) {
    expect(await formatOf({ template: plain, bos })).toEqual({ template: "plain", bos, warnings: [] });
    expect(await formatOf({ template: plain, bos }, { template: "plain", bos })).toMatchObject({ warnings: [] });
  }
});

test("a flag wins over the adapter's own format, and a note says so [T-A5, T-D2]", async () => {
  expect(await formatOf({ template: alpaca, bos: "tokenizer" }, { template: "plain" })).toEqual({
    template: "plain",
    bos: "tokenizer",
    warnings: [
      'RUN/adapter was trained with the template "alpaca", and is used with "plain": leave out --template to use its own',
    ],
  });
  expect(await formatOf({ template: alpaca, bos: "tokenizer" }, { bos: "named" })).toEqual({
    template: "alpaca",
    bos: "named",
    warnings: [
      'RUN/adapter was trained with bos "tokenizer", and is used with "named": leave out --bos to use its own',
    ],
  });
  // Where both put the same in front, nothing is lost.
  expect((await formatOf({ template: alpaca, bos: "tokenizer" }, { bos: "named" }, puts)).warnings).toEqual([]);
});

test("an adapter that does not say it gets the BOS that is named, and a note says so if it matters [T-A5, T-D2]", async () => {
  const old = await formatOf(undefined);
  expect(old).toMatchObject({ template: "alpaca", bos: "named" });
  const front = names.decode(names.frontIds("named"), { keepSpecialTokens: true });
  expect(front).not.toBe("");
  expect(old.warnings).toEqual([
    `RUN/adapter does not say what goes in front of its prompts: ${front} is put there, as before 0.2.0; --bos tokenizer does what tokenizer.json says`,
  ]);
  expect(await formatOf(undefined, { bos: "tokenizer" })).toEqual({
    template: "alpaca",
    bos: "tokenizer",
    warnings: [],
  });
  expect(await formatOf(undefined, { template: "plain" }, puts)).toEqual({
    template: "plain",
    bos: "named",
    warnings: [],
  });
});
