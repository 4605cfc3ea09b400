import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { adapterFolder, adapterPlace, locateModel, namedBase } from "./locate.ts";

let folder: string;
let notes: string[];
const at = (...names: string[]) => join(folder, ...names);
const write = (path: string, text = "") => {
  mkdirSync(join(at(path), ".."), { recursive: true });
  writeFileSync(at(path), text);
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-locate-"));
  notes = [];
  write("base/config.json", "{}");
  write("one/adapter_config.json", JSON.stringify({ base_model_name_or_path: at("base") }));
  write("two/adapter_config.json", JSON.stringify({ base_model_name_or_path: "somebody/base" }));
});
afterEach(() => rmSync(folder, { recursive: true }));
const note = (text: string) => void notes.push(text);
const locate = (wanted: { model?: string; adapters?: string[]; links?: boolean }) =>
  locateModel({ model: wanted.model, adapters: wanted.adapters ?? [], links: wanted.links }, note);

test("an adapter is called after its folder, or by the name behind the last equals sign", async () => {
  write("x=y/adapter_config.json", "{}");
  const adapters = [at("one"), `${at("two")}=second`, `${at("x=y")}=third`];
  expect(await locate({ model: at("base"), adapters })).toEqual({
    folder: at("base"),
    adapters: [
      { folder: at("one"), name: "one" },
      { folder: at("two"), name: "second" },
      { folder: at("x=y"), name: "third" },
    ],
  });
  expect(notes).toEqual([]);
});

test("two adapters of one name, and a flag with half of its parts, are refused with what to type", async () => {
  await expect(locate({ model: at("base"), adapters: [at("one"), `${at("two")}=one`] })).rejects.toThrow(
    `Cannot use --adapter ${at("two")}=one: there is an adapter "one" before it: name this one with --adapter ${at("two")}=NAME`,
  );
  for (const half of ["=name", `${at("one")}=`]) {
    await expect(locate({ model: at("base"), adapters: [half] })).rejects.toThrow(
      `Cannot use --adapter ${half}: expected DIR or DIR=NAME`,
    );
  }
});

test("without --model the base is the one that the first adapter names and that is here, and a note says so [T-D8]", async () => {
  expect((await locate({ adapters: [at("one"), at("two")] })).folder).toBe(at("base"));
  expect(notes).toEqual([`The base is ${at("base")}, which the adapter names`]);
  await expect(locate({ adapters: [at("two"), at("one")] })).rejects.toThrow(
    `Cannot find the base: ${at("two")} names somebody/base, which is neither a folder here nor in the Hub's cache: zerogate download somebody/base fetches it, or give --model`,
  );
  await expect(locate({})).rejects.toThrow("Cannot find the base: --model is missing");
});

test.each([{}, { base_model_name_or_path: "" }, { base_model_name_or_path: 3 }, null])(
  "an adapter that says %j names no base",
  async (config) => {
    write("one/adapter_config.json", JSON.stringify(config));
    expect(await namedBase(at("one"), note)).toBeUndefined();
    await expect(locate({ adapters: [at("one")] })).rejects.toThrow(`${at("one")} does not name it: give --model`);
  },
);

test("a config that is no JSON, or a folder, is named", async () => {
  write("one/adapter_config.json", "{");
  await expect(namedBase(at("one"), note)).rejects.toThrow(
    `Cannot read ${at("one", "adapter_config.json")}: not valid JSON: `,
  );
  rmSync(at("one", "adapter_config.json"));
  mkdirSync(at("one", "adapter_config.json"));
  await expect(namedBase(at("one"), note)).rejects.toThrow(`Cannot read ${at("one", "adapter_config.json")}: `);
});

test("of a run its adapter is used, before it is there its newest checkpoint, and a note says so [T-D8]", async () => {
  write("run/receipt.jsonl");
  await expect(adapterFolder(at("run"), note)).rejects.toThrow("it is a run without a checkpoint yet: ");
  for (const step of [2, 10, 9]) mkdirSync(at("run", "checkpoints", `step-${step}`), { recursive: true });
  expect(await adapterFolder(at("run"), note)).toBe(at("run", "checkpoints", "step-10"));
  expect(notes).toEqual([`${at("run")} is a run that has no adapter yet: its newest checkpoint, step 10, is used`]);
  write("run/adapter/adapter_config.json", "{}");
  expect(await adapterFolder(at("run"), note)).toBe(at("run", "adapter"));
  expect(notes).toHaveLength(1);
});

test("what is no adapter is refused: no folder, a file, a folder with nothing, a run that has only begun", async () => {
  await expect(adapterFolder(at("nowhere"), note)).rejects.toThrow(
    new RegExp(`^Cannot use the adapter ${at("nowhere")}: .*: name a folder that holds adapter_config.json, or a run$`),
  );
  await expect(adapterFolder(at("base", "config.json"), note)).rejects.toThrow(
    "it is a file: name the folder that holds adapter_config.json; ",
  );
  await expect(adapterFolder(at("base"), note)).rejects.toThrow(
    "there is no adapter_config.json in it: name an adapter's",
  );
  write("begun/log.jsonl");
  await expect(adapterFolder(at("begun"), note)).rejects.toThrow(/resume.* goes on with it$/);
});

test("a file of another program is an adapter by itself, which names no base, unless only folders are asked for", async () => {
  write("original.pth", "x");
  const adapters = [`${at("original.pth")}=theirs`, at("one")];
  expect((await locate({ model: at("base"), adapters, links: false })).adapters).toEqual([
    { folder: at("original.pth"), name: "theirs" },
    { folder: at("one"), name: "one" },
  ]);
  await expect(locate({ adapters })).rejects.toThrow(`${at("original.pth")} does not name it: give --model`);
  const wanted = { model: at("base"), adapters, onlyFolders: true };
  await expect(locateModel(wanted, note)).rejects.toThrow("it is a file: name the folder");
  await expect(adapterPlace(at("nowhere"), note)).rejects.toThrow(
    "name a folder that holds adapter_config.json, or a run",
  );
});

test("if links are not followed, those that lead out of an adapter or a base are refused, before anything of it is read", async () => {
  write("outside", "x");
  symlinkSync(at("outside"), at("one", "more.txt"));
  expect((await locate({ model: at("base"), adapters: [at("one")] })).folder).toBe(at("base"));
  expect((await locate({ model: at("base"), adapters: [at("one")], links: true })).folder).toBe(at("base"));
  await expect(locate({ model: at("base"), adapters: [at("one")], links: false })).rejects.toThrow("more.txt");
  write("one/adapter_config.json", "{"); // found out before it is parsed
  await expect(locate({ adapters: [at("one")], links: false })).rejects.toThrow("more.txt");
  symlinkSync(at("outside"), at("base", "model.safetensors"));
  await expect(locate({ model: at("base"), adapters: [at("two")], links: false })).rejects.toThrow("model.safetensors");
});
