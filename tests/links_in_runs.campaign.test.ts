/** Run directories from elsewhere, with names that lead out of them: refused before anything is read or written. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const call = (...args: string[]) => zerogateHere(args, { cwd });
const flags = tinyRun(cwd, { "--save-every": "2", "--keep-checkpoints": "9", "--workers": "1" });
const SECRET = "a secret of somebody else\n";

/** Everything outside of the run that a link may lead to: names and bytes. */
const outside = () =>
  (readdirSync(at("outside"), { recursive: true }) as string[])
    .toSorted()
    .map((name) => [
      name,
      existsSync(at("outside", name, "file")) ? "folder" : readFileSync(at("outside", name), "utf8"),
    ]);

beforeAll(async () => {
  const trained = await call("train", ...flags, "--out", "whole");
  expect(trained.code, trained.stderr).toBe(0);
});

beforeEach(() => {
  rmSync(at("outside"), { recursive: true, force: true });
  mkdirSync(at("outside", "folder"), { recursive: true });
  for (const name of ["file", "folder/file"]) writeFileSync(at("outside", name), SECRET);
});

/** A run that was cut off after four steps. */
let copies = 0;
function cutRun(): string {
  const out = `run-${++copies}`;
  cpSync(at("whole"), at(out), { recursive: true });
  rmSync(at(out, "checkpoints", "step-6"), { recursive: true });
  return out;
}

function replace(out: string, name: string, target: string): void {
  rmSync(at(out, name), { recursive: true, force: true });
  mkdirSync(join(at(out, name), ".."), { recursive: true });
  symlinkSync(target, at(out, name));
}

const names = [
  "metrics.jsonl",
  "receipt.jsonl",
  "log.jsonl",
  "config.json",
  "accepted.json",
  "report.html",
  "lock-1.free",
  "lock-2",
  "lock-2.beat",
  "events.out.tfevents.1.x",
  "checkpoints/step-4/state.msgpack",
  "adapter/adapter_model.safetensors",
  "notes.txt",
];
const folders = ["checkpoints", "rewound", "adapter", "checkpoints/step-4", "checkpoints/step-9", "notes"];
const commands = [["verify"], ["resume"], ["rewind", "--to", "2"]] as const;

const expectRefused = async (out: string, name: string, says: string) => {
  const before = outside();
  for (const [command, ...more] of commands) {
    const refused = await call(command, out, ...more);
    expect(refused.code, `${command}: ${refused.stdout}${refused.stderr}`).toBe(2);
    expect(refused.stderr).toContain(`${name} ${says}`);
  }
  expect(outside()).toEqual(before);
};

describe("verify, resume and rewind refuse a run in which", () => {
  test.each(names)("%s is a link to a file outside [T-B3]", async (name) => {
    const out = cutRun();
    replace(out, name, at("outside", "file"));
    await expectRefused(out, name, "is a link that leads out, to ");
  });

  test.each(folders)("%s is a link to a folder outside [T-B3]", async (name) => {
    const out = cutRun();
    replace(out, name, at("outside", "folder"));
    await expectRefused(out, name, "is a link that leads out, to ");
  });

  test.each(["metrics.jsonl", "lock-2.beat", "checkpoints", "notes"])(
    "%s is a link to nothing [T-B3]",
    async (name) => {
      const out = cutRun();
      replace(out, name, at("outside", "new"));
      await expectRefused(out, name, `is a link to ${at("outside", "new")}, which leads nowhere`);
      expect(existsSync(at("outside", "new"))).toBe(false);
    },
  );

  test("a link leads out by way of its own names [T-B3]", async () => {
    const out = cutRun();
    replace(out, "receipt.jsonl", "../outside/file");
    await expectRefused(out, "receipt.jsonl", "is a link that leads out, to ../outside/file");
  });

  test("one of its own files stands for another [T-B3]", async () => {
    const out = cutRun();
    replace(out, "metrics.jsonl", "config.json");
    await expectRefused(out, "metrics.jsonl", "is a link, to config.json");
  });

  test("a file that grows has another name outside [T-B3]", async () => {
    const out = cutRun();
    rmSync(at(out, "metrics.jsonl"));
    linkSync(at("outside", "file"), at(out, "metrics.jsonl"));
    await expectRefused(out, "metrics.jsonl", "has another name elsewhere (hard link)");
  });

  test.skipIf(process.platform === "win32")("a file is a pipe [T-B3]", async () => {
    const out = cutRun();
    rmSync(at(out, "metrics.jsonl"));
    execFileSync("mkfifo", [at(out, "metrics.jsonl")]);
    await expectRefused(out, "metrics.jsonl", "is neither a file nor a folder");
  });
});

test.each(["lock-1.free", "lock-1.beat", "lock-2"])(
  "train refuses a folder that looks empty but for a link %s [T-B3]",
  async (name) => {
    const out = `empty-${++copies}`;
    mkdirSync(at(out));
    replace(out, name, at("outside", "file"));
    const before = outside();
    const refused = await call("train", ...flags, "--out", out);
    expect(refused.code, refused.stderr).toBe(2);
    expect(refused.stderr).toContain(`${name} is a link that leads out, to `);
    expect(outside()).toEqual(before);
  },
);

test("a run directory that is a link itself, and links of the user's own inside it, are as good as any [T-B3]", async () => {
  const out = cutRun();
  renameSync(at(out), at(`${out}-elsewhere`));
  symlinkSync(`${out}-elsewhere`, at(out));
  symlinkSync("checkpoints/step-4", at(out, "newest"));
  const resumed = await call("resume", out);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(adapterHash(at(out))).toBe(adapterHash(at("whole")));
});

test("the cache folder that a stored config names is not written to, unless a flag names it [T-B3]", async () => {
  const out = cutRun();
  for (const name of ["adapter", "report.html"]) rmSync(at(out, name), { recursive: true });
  const path = at(out, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), cacheDir: at("outside", "cache") }));
  const verified = await call("verify", out, "--replay", "5..6");
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  const resumed = await call("resume", out);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(resumed.stderr).toContain("the cache folder in the stored config is not used");
  expect(existsSync(at("outside", "cache"))).toBe(false);
  rmSync(at(out, "checkpoints", "step-6"), { recursive: true });
  const named = await call("resume", out, "--cache-dir", at("outside", "cache"));
  expect(named.code, named.stderr).toBe(0);
  expect(readdirSync(at("outside", "cache")).length).toBeGreaterThan(0);
});
