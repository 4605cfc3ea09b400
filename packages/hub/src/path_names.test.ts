import { expect, test } from "vitest";
import { pathProblem, sameOnSomeSystems } from "./path_names.ts";

test.each([
  ["../up", "leads elsewhere by .."],
  ["a/../../up", "leads elsewhere by .."],
  ["./a", "leads elsewhere by ."],
  ["/etc/passwd", "is absolute"],
  ["C:/x", "is absolute"],
  ["c:x", "is absolute"],
  ["a//b", "has a part without a name"],
  ["a/", "has a part without a name"],
  ["", "has a part without a name"],
  ["..\\up", "has a character that not every system can have in a name"],
  ["ab:stream", "has a character that not every system can have in a name"],
  ["a\0b", "has a character that not every system can have in a name"],
  ["a\u001b[2Jb", "has a character that not every system can have in a name"],
  ["a?", "has a character that not every system can have in a name"],
  ["CON", "has a part that is a device on Windows"],
  ["sub/aux.json", "has a part that is a device on Windows"],
  ["com1.safetensors", "has a part that is a device on Windows"],
  ["a./b", "has a part that ends in a dot or space, which Windows drops"],
  ["a ", "has a part that ends in a dot or space, which Windows drops"],
])("no file is called %j [M-hub-refusals]", (path, problem) => {
  expect(pathProblem(path)).toBe(problem);
});

test.each(["config.json", "a/b/c.safetensors", "...x", "console.json", ".gitattributes", "日本/模型.json", "a b.txt"])(
  "%j is a name [M-hub-refusals]",
  (path) => expect(pathProblem(path)).toBe(undefined),
);

test("no file has a name that is too long [M-hub-refusals]", () => {
  expect(pathProblem("é".repeat(128))).toBe("has a part of more than 255 bytes");
  expect(pathProblem(`${"a/".repeat(600)}b`)).toBe("has 1201 characters, at most 1000 are taken");
});

test("names that some system takes for one are found [M-hub-refusals]", () => {
  expect(sameOnSomeSystems(["a/B", "b", "A/b"])).toEqual(["a/B", "A/b"]);
  expect(sameOnSomeSystems(["\u00e9", "e\u0301"])).toEqual(["\u00e9", "e\u0301"]);
  expect(sameOnSomeSystems(["a", "b"])).toBe(undefined);
});
