/** What is said of paths that are not what a command needs: words, never the system's own. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { run } from "../../test/run_cli.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-paths-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...names: string[]) => join(folder, ...names);
const base = fileURLToPath(new URL("../../../trainer/world/base", import.meta.url));

writeFileSync(at("file"), "just a line\n");
mkdirSync(at("empty"));
symlinkSync(at("gone"), at("dead"));
symlinkSync(at("loop"), at("loop"));
mkdirSync(at("closed"));
writeFileSync(at("data.json"), JSON.stringify([{ instruction: "a", input: "", output: "b" }]));
chmodSync(at("closed"), 0);

const paths = [
  "missing",
  "file",
  "empty",
  "dead",
  "loop",
  "closed",
  "file/below",
  "missing/deep/er",
  "a name too long",
];

/** Every flag and operand that takes a path, with all else right. */
const places: readonly (readonly [what: string, line: (path: string) => string[]])[] = [
  ["train --config", (path) => ["train", "--config", path]],
  ["train --model", (path) => ["train", "--dry-run", "--model", path, "--data", at("data.json"), "--out", at("run")]],
  ["train --data", (path) => ["train", "--dry-run", "--model", base, "--data", path, "--out", at("run")]],
  [
    "train --template",
    (path) => [
      "train",
      "--dry-run",
      "--model",
      base,
      "--data",
      at("data.json"),
      "--out",
      at("run"),
      "--template",
      path,
    ],
  ],
  [
    "train --init-adapter",
    (path) => [
      "train",
      "--dry-run",
      "--model",
      base,
      "--data",
      at("data.json"),
      "--out",
      at("run"),
      "--init-adapter",
      path,
    ],
  ],
  ["resume", (path) => ["resume", path]],
  ["rewind", (path) => ["rewind", path, "--to", "1"]],
  ["verify", (path) => ["verify", path]],
  ["verify --adapter", (path) => ["verify", "--against", "peft", "--adapter", path, "--model", base]],
  ["eval --model", (path) => ["eval", "--model", path, "--data", at("data.json")]],
  ["eval --data", (path) => ["eval", "--model", base, "--data", path]],
  ["eval --adapter", (path) => ["eval", "--model", base, "--data", at("data.json"), "--adapter", path]],
  ["generate --prompts", (path) => ["generate", "--model", base, "--prompts", path]],
  ["generate --prompts .txt", (path) => ["generate", "--model", base, "--prompts", `${path}.txt`]],
  ["generate --adapter", (path) => ["generate", "--adapter", path, "--prompt", "a"]],
  ["generate --compare", (path) => ["generate", "--compare", path, "--prompt", "a"]],
  ["chat --model", (path) => ["chat", "--model", path]],
  ["inspect", (path) => ["inspect", path]],
  ["convert", (path) => ["convert", path, at("out"), "--to", "peft"]],
  ["adapters show", (path) => ["adapters", "show", path]],
  ["adapters diff", (path) => ["adapters", "diff", path, path]],
  ["adapters average", (path) => ["adapters", "average", path, path, "--out", at("out")]],
  ["adapters list", (path) => ["adapters", "list", path]],
];

describe.each(places)("%s", (what, line) => {
  test.each(paths)("of %s says what is there and what is needed [T-D8]", async (name) => {
    const answer = await run(...line(at(name === "a name too long" ? "n".repeat(300) : name)));
    const said = `${answer.stdout}${answer.stderr}`;
    expect(said, what).not.toMatch(
      /\bE(?:NOENT|NOTDIR|ISDIR|LOOP|NAMETOOLONG)\b|no such file or directory|syscall| lstat | scandir /,
    );
    // `adapters list` of a folder without any is no mistake, nor is one line of text a wrong list of prompts.
    const isFine = answer.code === 0 && /^(?:adapters list|inspect)$/.test(what);
    expect(isFine || answer.stderr.startsWith("Cannot ") || /\nCannot /.test(answer.stderr), answer.stderr).toBe(true);
    expect([0, 1, 2]).toContain(answer.code);
  });
});
