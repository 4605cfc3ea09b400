import { expect, test } from "vitest";
import { parseRepoName, writeRepoName } from "./repo_name.ts";

test.each([
  ["Qwen/Qwen3-0.6B", { id: "Qwen/Qwen3-0.6B", revision: "main" }],
  ["Qwen/Qwen3-0.6B@refs/pr/1", { id: "Qwen/Qwen3-0.6B", revision: "refs/pr/1" }],
  ["a/b@v1.0:checkpoints/last", { id: "a/b", revision: "v1.0", path: "checkpoints/last" }],
  ["a/b:weights.gguf", { id: "a/b", revision: "main", path: "weights.gguf" }],
  ["TheBloke/b-GGUF/b.Q4_K_M.gguf@main", { id: "TheBloke/b-GGUF", revision: "main", path: "b.Q4_K_M.gguf" }],
  ["a/b/sub/x-00001-of-00002.GGUF", { id: "a/b", revision: "main", path: "sub/x-00001-of-00002.GGUF" }],
])("%s is a name of the Hub [M-hub-refusals]", (text, expected) => {
  const name = parseRepoName(text);
  expect(name).toEqual({ kind: "model", ...expected });
  expect(name && parseRepoName(writeRepoName(name))).toEqual(name);
});

test.each([
  "base",
  "./models/base",
  "/models/base",
  "../up/base",
  "a/b/c",
  "C:\\models\\base",
  "a\\b",
  "a--b/c",
  "a/b.git",
  "a/b@",
  "a/b@..",
  "a/b@refs/../../x",
  "a/b@-x",
  "a/b@x\ny",
  "a/b@/etc",
  "a/b:../c",
  "a/b:/etc/passwd",
  "a/b:con",
  "a/b:x\\..\\y",
  "a/b/../../x.gguf",
  "https://huggingface.co/a/b",
  `${"a".repeat(97)}/b`,
  "",
])("%j is none [M-hub-refusals]", (text) => {
  expect(parseRepoName(text)).toBe(undefined);
});
