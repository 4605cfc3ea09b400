import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TrainConfig } from "@zerogate/run-config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { localTeams } from "../../test/local_ranks.ts";
import { placeBase, placeTokenizer } from "./broadcast_base.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-broadcast-"));
  mkdirSync(join(folder, "base", "sub"), { recursive: true });
  writeFileSync(join(folder, "base", "config.json"), "{}");
  writeFileSync(join(folder, "base", "empty"), "");
  writeFileSync(join(folder, "base", "model.safetensors"), Buffer.alloc((32 << 20) + 5, 7));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Each rank with a disk of its own. */
const configOf = (rank: number, changes: object = {}) =>
  ({
    model: join(folder, "base"),
    broadcastWeights: true,
    cacheDir: join(folder, `disk-${rank}`),
    ...changes,
  }) as TrainConfig;
const place = (changes: object = {}, size = 3) => {
  const teams = localTeams(size);
  return { ...teams, found: teams.all((team) => placeBase(team, configOf(team.rank, changes))) };
};
const filesOf = (path: string) => readdirSync(path).toSorted();

test("the others get a copy of the base's files on their own disk, which they find again", async () => {
  const { found, meetings } = place();
  const [first, ...others] = await found;
  expect(first).toBe(join(folder, "base"));
  expect(others.map((path, i) => path.startsWith(join(folder, `disk-${i + 1}`, "bases")))).toEqual([true, true]);
  for (const path of others) {
    expect(filesOf(path)).toEqual(["config.json", "empty", "model.safetensors"]);
    for (const name of filesOf(path)) {
      expect(readFileSync(join(path, name)).equals(readFileSync(join(folder, "base", name)))).toBe(true);
    }
  }
  expect(readdirSync(join(folder, "disk-1", "bases"))).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/)]);
  // What is sent is the base, and little besides to agree.
  const sent = meetings.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(sent).toBeGreaterThan((32 << 20) + 5);
  expect(sent).toBeLessThan((32 << 20) + 100_000);
  const again = place();
  expect(await again.found).toEqual([first, ...others]);
  expect(again.meetings.length).toBeLessThan(meetings.length / 2);
});

test("of a GGUF file its parts are sent, and nothing else that lies beside it", async () => {
  const parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
  for (const name of parts) writeFileSync(join(folder, "base", name), name);
  const model = join(folder, "base", parts[0] ?? "");
  const [first, ...others] = await place({ model }).found;
  expect(first).toBe(model);
  for (const path of others) {
    expect(readFileSync(path, "utf8")).toBe(parts[0]);
    expect(filesOf(dirname(path))).toEqual(parts);
  }
  rmSync(join(folder, "base", parts[1] ?? ""));
  const missing = expect.stringContaining("m-00002-of-00002.gguf is not there");
  expect(await place({ model }).found).toEqual([missing, missing, missing]);
});

test("of a tokenizer of its own its files are sent, without the weights beside them; the base's own is not sent again", async () => {
  for (const name of ["tokenizer.json", "vocab.json", "merges.txt", "chat_template.jinja", "tokenizer.model"])
    writeFileSync(join(folder, "base", name), name);
  const tokenizer = join(folder, "base");
  const { all, meetings } = localTeams(3);
  const [first, ...others] = await all((team) => placeTokenizer(team, configOf(team.rank, { tokenizer })));
  expect(first).toBe(tokenizer);
  for (const [i, path] of others.entries()) {
    expect(path.startsWith(join(folder, `disk-${i + 1}`))).toBe(true);
    const sent = [
      "chat_template.jinja",
      "config.json",
      "merges.txt",
      "tokenizer.json",
      "tokenizer.model",
      "vocab.json",
    ];
    expect(filesOf(path)).toEqual(sent);
    expect(readFileSync(join(path, "merges.txt"), "utf8")).toBe("merges.txt");
  }
  expect(meetings.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(100_000);
  const own = await localTeams(2).all((team) => placeTokenizer(team, configOf(team.rank, { tokenizer: "model" })));
  expect(own).toEqual(["model", "model"]);
});

test("a file that changed makes another copy; one rank without it is enough to send it to all", async () => {
  const before = await place().found;
  rmSync(before[2] ?? "", { recursive: true });
  expect(await place().found).toEqual(before);
  expect(filesOf(before[2] ?? "")).toHaveLength(3);
  utimesSync(join(folder, "base", "config.json"), 1, 1);
  const after = await place().found;
  expect(after[1]).not.toBe(before[1]);
});

test("alone, or without the wish, each rank reads the base where its config says", async () => {
  const { found } = place({ broadcastWeights: false });
  expect(new Set(await found)).toEqual(new Set([join(folder, "base")]));
  expect(await place({}, 1).found).toEqual([join(folder, "base")]);
});

test("what rank 0 cannot read is refused on all ranks, and no copy is left", async () => {
  const { found } = place({ model: join(folder, "nowhere") });
  for (const message of await found) expect(message).toContain(`there is no folder ${join(folder, "nowhere")}`);
});

test("a disk that another rank cannot write to fails on all, and leaves nothing half", async () => {
  writeFileSync(join(folder, "disk-2"), "a file");
  const { all, teams } = localTeams(3);
  const own: (Error | undefined)[] = [];
  await all((team) =>
    placeBase(team, configOf(team.rank)).catch((error: unknown) => {
      own[team.rank] = error as Error;
      throw error;
    }),
  );
  for (const error of own) expect(error?.message).toMatch(/^rank 2 of 3: .*(ENOTDIR|EEXIST)/);
  expect(teams.map((team, rank) => team.lineFor(own[rank]) !== undefined)).toEqual([true, false, false]);
  expect(readdirSync(join(folder, "disk-1", "bases"))).toEqual([]);
});
