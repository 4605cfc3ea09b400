import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readAccepted, writeAccepted } from "./accepted.ts";

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-accepted-"));
});
afterEach(() => rmSync(run, { recursive: true }));

const path = () => join(run, "accepted.json");
const changes = [
  { step: 0, field: "lr", was: "0.01", is: "0.02" },
  { step: 3, field: "node", was: "v20.1.0", is: "v20.2.0" },
];

test("without a file nothing was accepted, and what is written comes back in its order", async () => {
  expect(await readAccepted(run)).toEqual([]);
  await writeAccepted(run, changes);
  expect(await readAccepted(run)).toEqual(changes);
});

test("the file is text that people read, the same for the same changes whatever the order of their fields", async () => {
  await writeAccepted(run, [{ is: "b", was: "a", field: "lr", step: 2 }]);
  const text = readFileSync(path(), "utf8");
  const lines = [
    "{",
    '  "changes": [',
    "    {",
    '      "step": 2,',
    '      "field": "lr",',
    '      "was": "a",',
    '      "is": "b"',
    "    }",
    "  ],",
    expect.stringMatching(/^ {2}"sha256": "[0-9a-f]{64}"$/),
    "}",
    "",
  ];
  expect(text.split("\n")).toEqual(lines);
});

test.each<[what: string, damage: (text: string) => string]>([
  ["another step", (text) => text.replace('"step": 3', '"step": 2')],
  ["another digest", (text) => text.replace(/"sha256": "./, '"sha256": "x')],
  ["half of it", (text) => text.slice(0, 40)],
  ["a step before the first", (text) => text.replace('"step": 0', '"step": -1')],
  ["a further field", (text) => text.replace('"step": 0', '"step": 0, "more": 1')],
  ["no list", () => '{"sha256": ""}'],
])("%s in the file is refused, with what to do", async (_, damage) => {
  await writeAccepted(run, changes);
  writeFileSync(path(), damage(readFileSync(path(), "utf8")));
  const error = await readAccepted(run).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InputError);
  expect(String(error)).toContain(`Cannot read ${path()}: it is damaged: remove it and accept changes again`);
});

test("a folder in its place is no empty list", async () => {
  mkdirSync(path());
  await expect(readAccepted(run)).rejects.toThrow("it is damaged");
});
