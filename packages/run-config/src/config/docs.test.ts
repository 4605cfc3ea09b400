import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { configKeys, fields } from "./fields.ts";
import { flagName } from "./flag_name.ts";
import type { Field } from "./kinds.ts";
import { presets } from "./presets.ts";
import { resolveConfig } from "./resolve.ts";
import { type ConfigKey, comparedOtherwise, safeToChange } from "./train_config.ts";

const page = readFileSync(new URL("../../../../docs/config.md", import.meta.url), "utf8");

/** Cells of each table row, without the backticks of code. */
function rows(section: string): string[][] {
  const lines = section.split("\n").filter((line) => line.startsWith("|") && !line.startsWith("|---"));
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

const between = (from: string, to: string) => page.slice(page.indexOf(from), page.indexOf(to));

test("docs/config.md lists every key with its flag and default, and no other", () => {
  const listed = rows(between("## Keys", "## Presets")).filter(([key]) => key !== "Key");
  const expected = configKeys.map((key) => {
    const { required, fallback }: Field<unknown> = fields[key];
    const number = typeof fallback === "number" && fallback < 1e-4 && fallback > 0 ? "1e-8" : String(fallback);
    const shown = key === "workers" ? "all cores" : fallback === undefined ? (required ? "required" : "–") : number;
    return `${key} ${flagName(key)} ${shown}`;
  });
  expect(new Set(listed.map((cells) => cells.slice(0, 3).join(" ")))).toEqual(new Set(expected));
  expect(listed).toHaveLength(expected.length);
  for (const [, , , meaning] of listed) expect(meaning).toMatch(/\.$/);
});

test("its table of presets holds every value of every preset", () => {
  const table = rows(between("## Presets", "- **paper**"));
  for (const [column, name] of (["paper", "peft", "quick"] as const).entries()) {
    const cells = table.slice(1).map((row) => row[column + 1] ?? "");
    const said = cells.flatMap((cell) => cell.split(", ")).filter((value) => value !== "");
    const values = Object.entries(presets[name]).map(([key, value]) => {
      const unit = { epochs: " epochs", steps: " steps", warmupEpochs: " epochs", warmupSteps: " steps" }[key] ?? "";
      return `${key === "lr" || key === "blr" ? `${key} ` : ""}${value === 1e-8 ? "1e-8" : typeof value === "object" ? JSON.stringify(value) : String(value)}${unit}`;
    });
    expect(said.toSorted()).toEqual(values.toSorted());
  }
});

test("its list of keys that are safe to change is the list in the code, and names those that are compared by what they hold [T-D13]", () => {
  const named = (text: string) => [...text.matchAll(/`(\w+)`/g)].map((match) => match[1] as ConfigKey);
  const items = between("A resume allows a change", "Every other key is part").split("\n- ").slice(1);
  expect(items.flatMap(named).toSorted()).toEqual(safeToChange.toSorted());
  expect(named(items[1] ?? "").toSorted()).toEqual(comparedOtherwise.toSorted());
});

test("of no other key it says that it changes no bit, and of none of these that it is part of the identity [T-D13]", () => {
  const saying = (words: RegExp) =>
    rows(between("## Keys", "## Presets")).flatMap(([key, , , meaning = ""]) => (words.test(meaning) ? [key] : []));
  const harmless = safeToChange.filter((key) => !comparedOtherwise.includes(key));
  expect(harmless).toEqual(expect.arrayContaining(saying(/[Cc]hanges no bit|[Nn]ever changes the trained bits/)));
  expect(saying(/part of the run's identity/i).filter((key) => safeToChange.includes(key as ConfigKey))).toEqual([]);
});

test("its example file is a config", () => {
  const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const folder = mkdtempSync(join(tmpdir(), "zerogate-docs-"));
  const file = join(folder, "run.yaml");
  writeFileSync(file, example);
  mkdirSync(join(folder, "models", "TinyLlama-1.1B"), { recursive: true }); // else it would be a name of the Hub
  const config = resolveConfig({ file });
  expect(config).toMatchObject({ preset: "paper", epochs: 3, batchSize: 64, lr: 5e-3, weightDecay: 0.02, workers: 4 });
  expect([config.blr, config.model]).toEqual([undefined, join(folder, "models", "TinyLlama-1.1B")]);
});
