import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkOwnNames } from "./own_names.ts";

let folder: string;
let run: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-names-"));
  run = join(folder, "run");
  mkdirSync(join(run, "checkpoints", "step-2"), { recursive: true });
  mkdirSync(join(folder, "outside"));
  for (const name of ["metrics.jsonl", "checkpoints/step-2/state.msgpack", "notes.txt", "../outside/file"]) {
    writeFileSync(join(run, name), "x");
  }
});
afterEach(() => rmSync(folder, { recursive: true }));

const link = (name: string, to: string) => symlinkSync(to, join(run, name));
const advice = "a run directory holds files and folders of its own only: remove these, or put copies in their place";
const problems = async (): Promise<string[]> => {
  const error = await checkOwnNames(run).catch((thrown: unknown) => thrown);
  if (error === undefined) return [];
  const { message, problems: all } = error as { message: string; problems: string[] };
  expect(message).toMatch(`Cannot use the run directory ${run}`);
  expect(all.at(-1)).toBe(advice);
  return all.slice(0, -1);
};

test("files and folders of a run are its own, and one that is not there has nothing wrong [T-B3]", async () => {
  expect(await problems()).toEqual([]);
  await checkOwnNames(join(folder, "nowhere"));
  mkdirSync(join(folder, "empty"));
  await checkOwnNames(join(folder, "empty"));
});

test("the run directory itself may be a link [T-B3]", async () => {
  const other = join(folder, "other");
  symlinkSync(run, other);
  await expect(checkOwnNames(other)).resolves.toBeUndefined();
  link("here", "checkpoints");
  await expect(checkOwnNames(other)).resolves.toBeUndefined();
});

test.each<[name: string, to: string, problem: string]>([
  ["metrics.bak", "../outside/file", "metrics.bak is a link that leads out, to ../outside/file"],
  ["checkpoints/step-4", "../../outside", "checkpoints/step-4 is a link, to ../../outside"],
  ["gone", "nowhere", "gone is a link to nowhere, which leads nowhere"],
  ["near", "../run-2", "near is a link that leads out, to ../run-2"],
])("a link %s to %s is named [T-B3]", async (name, to, problem) => {
  mkdirSync(join(folder, "run-2"));
  link(name, to);
  const found = await problems();
  // What leads out of a folder of the run's own is reported as that, whichever name it has.
  expect(found).toEqual([
    name.startsWith("checkpoints") ? problem.replace("a link, to", "a link that leads out, to") : problem,
  ]);
});

test.each([
  "config.json",
  "accepted.json",
  "receipt.jsonl",
  "log.jsonl",
  "report.html",
  "adapter",
  "rewound",
  "lock-7",
  "lock-7.beat",
  "events.out.tfevents.1",
  ".config.json.12.ab.tmp",
  "checkpoints/step-9",
])("no link may stand for %s, even to a place inside the run [T-B3]", async (name) => {
  link(name, join(run, "notes.txt"));
  expect(await problems()).toEqual([`${name} is a link, to ${join(run, "notes.txt")}`]);
});

test("other links inside the run may stay, also one to the run itself [T-B3]", async () => {
  link("newest", "checkpoints/step-2");
  link("self", ".");
  link("config.json.bak", "notes.txt");
  expect(await problems()).toEqual([]);
});

test.each(["metrics.jsonl", "receipt.jsonl", "log.jsonl", "lock-3.beat"])(
  "a file that grows in place, %s, may have no other name [T-B3]",
  async (name) => {
    rmSync(join(run, name), { force: true });
    linkSync(join(folder, "outside", "file"), join(run, name));
    expect(await problems()).toEqual([`${name} has another name elsewhere (hard link)`]);
  },
);

test("a file that is replaced whole may have another name, and one of a checkpoint too [T-B3]", async () => {
  linkSync(join(folder, "outside", "file"), join(run, "report.html"));
  linkSync(join(folder, "outside", "file"), join(run, "checkpoints", "metrics.jsonl"));
  expect(await problems()).toEqual([]);
});

test.skipIf(process.platform === "win32")("a pipe is neither a file nor a folder [T-B3]", async () => {
  execFileSync("mkfifo", [join(run, "pipe")]);
  expect(await problems()).toEqual(["pipe is neither a file nor a folder"]);
});

test("five problems are reported, and how many more there are [T-B3]", async () => {
  for (let i = 0; i < 5; i++) link(`out-${i}`, "../outside");
  expect(await problems()).toHaveLength(5);
  for (let i = 5; i < 8; i++) link(`out-${i}`, "../outside");
  const told = await problems();
  expect(told).toHaveLength(6);
  expect(told.at(-1)).toBe("and 3 more");
});
