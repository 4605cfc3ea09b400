import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { resolveConfig } from "./resolve.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-entries-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
writeFileSync(at("a.json"), "[]");
writeFileSync(at("b=2"), "[]");

const dataOf = (data: unknown, more: object = {}) =>
  resolveConfig({ settings: { model: folder, out: at("run"), data, ...more } }).data;

test("flags name files, and parts of a mixture with weight and cap; files of these names win [D-mix-flags]", () => {
  expect(dataOf(at("a.json"))).toEqual([at("a.json")]);
  expect(dataOf([`${at("a.json")}=0.7`, `${at("gone.json")}=3e-1,cap=1000`])).toEqual([
    { path: at("a.json"), weight: 0.7 },
    { path: at("gone.json"), weight: 0.3, cap: 1000 },
  ]);
  expect(dataOf([`${at("a.json")},cap=5`, "x.json"])).toEqual([{ path: at("a.json"), cap: 5 }, resolve("x.json")]);
  expect(dataOf([at("b=2")])).toEqual([at("b=2")]);
  expect(dataOf([`${at("b=2")}=4`])).toEqual([{ path: at("b=2"), weight: 4 }]);
  expect(dataOf([at("key=value.json")])).toEqual([at("key=value.json")]);
});

test.each(["0", "-1", "NaN", "Infinity", "x", "1,cap=0", "1,cap=1.5", "1,cap=x"])(
  "a.json=%s is refused with what is possible [D-mix-refused]",
  (typed) => {
    expect(() => dataOf([`${at("a.json")}=${typed}`])).toThrow(
      /data is .*, expected one or more files, each a path or .*a weight above 0 and a cap of at least 1/,
    );
  },
);

test("weights for some files only are refused with their names [D-mix-refused]", () => {
  const expected = `data gives a weight to some files and none to ${at("c.json")}: give all of them one, or none`;
  expect(() => dataOf([`${at("a.json")}=1`, at("c.json")])).toThrow(expected);
});

test("a config file has parts as objects, with paths from its folder, and strings as they are [D-mix-flags]", () => {
  mkdirSync(at("sub"));
  const file = join(folder, "sub", "run.yaml");
  writeFileSync(
    file,
    `model: ${folder}\nout: run\ndata:\n  - path: ../a.json\n    weight: 2\n    fields: {instruction: q, output: r}\n` +
      "    template: own.json\n  - {path: b.json, weight: 1, template: plain}\n",
  );
  expect(resolveConfig({ file }).data).toEqual([
    { path: at("a.json"), weight: 2, fields: { instruction: "q", output: "r" }, template: at("sub/own.json") },
    { path: at("sub/b.json"), weight: 1, template: "plain" },
  ]);
  writeFileSync(file, `model: ${folder}\nout: run\ndata: [x.json=1]\n`);
  expect(resolveConfig({ file }).data).toEqual([at("sub/x.json=1")]);
  writeFileSync(file, `model: ${folder}\nout: run\ndata: [{path: b.json, weigth: 1}]\n`);
  expect(() => resolveConfig({ file })).toThrow(/data \(.*line 3\) is .*expected one or more files/);
});
