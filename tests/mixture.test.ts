/** Runs on mixtures: the same bits from any number of workers and after a resume, shares that the dry run says. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonLines, testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, records, stepLosses, tinyRun } from "./support/world.ts";

const cwd = testFolder();
const all = records("train.json", 60);
writeFileSync(join(cwd, "many.json"), JSON.stringify(all.slice(0, 48)));
writeFileSync(join(cwd, "few.json"), JSON.stringify(all.slice(48)));
const parts = [
  { path: "many.json", weight: 1 },
  { path: "few.json", weight: 3 },
];
const write = (name: string, data: unknown) => writeFileSync(join(cwd, name), JSON.stringify({ data }));
write("mix.yaml", parts);
write("other.yaml", [parts[0], { ...parts[1], weight: 2 }]);

/** Without `--data`, which the config file has. */
const flags = tinyRun(cwd, { "--steps": "12" }).filter(
  (word, i, words) => word !== "--data" && words[i - 1] !== "--data",
);
const train = (out: string, ...more: string[]) =>
  zerogateHere(["train", ...flags, "--config", "mix.yaml", "--out", out, "--json", ...more], { cwd });
const outcome = (out: string) => ({ adapter: adapterHash(join(cwd, out)), steps: stepLosses(join(cwd, out)) });

test("the dry run says how many samples of each file an epoch holds [D-mix-dry]", async () => {
  const dry = await train("none", "--dry-run");
  expect(dry.code, dry.stderr).toBe(0);
  expect(dry.json[0]).toMatchObject({
    samples: 60,
    stepsPerEpoch: 8,
    mixture: [
      { path: join(cwd, "many.json"), perEpoch: 15, samples: 48 },
      { path: join(cwd, "few.json"), perEpoch: 45, samples: 12 },
    ],
  });
  const shown = await zerogateHere(["train", ...flags, "--config", "mix.yaml", "--out", "none", "--dry-run"], { cwd });
  expect(shown.stdout).toContain("few.json: 45 samples (75%) of the 12 that it has, each 3.8 times");
});

test("one, two and three workers, tokens on disk, and a resume in the second epoch train the same bits [D-mix-run]", async () => {
  expect((await train("one", "--workers", "1", "--save-every", "10")).code).toBe(0);
  for (const [out, more] of [
    ["three", ["--workers", "3"]],
    ["disk", ["--workers", "2", "--token-memory", "0"]],
  ] as const) {
    expect((await train(out, ...more)).code).toBe(0);
    expect(outcome(out)).toEqual(outcome("one"));
  }
  const verified = await zerogateHere(["verify", "one", "--replay", "10..12"], { cwd });
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  const onLine = (line: string, send: (signal: NodeJS.Signals) => void) => {
    if (line.includes('"step":9,')) send("SIGINT");
  };
  const words = ["train", ...flags, "--config", "mix.yaml", "--out", "stopped", "--json"];
  const stopped = await zerogateHere(words, { cwd, onLine });
  expect(stopped.code, stopped.stderr).toBe(130);
  expect(stepLosses(join(cwd, "stopped")).length).toBeLessThan(12);
  const weights = [`${join(cwd, "many.json")}=1`, `${join(cwd, "few.json")}=2`];
  const other = await zerogateHere(["resume", "stopped", "--data", ...weights, "--json"], { cwd });
  expect(other.code).toBe(2);
  expect(other.stderr).toContain("--accept-change plan");
  const resumed = await zerogateHere(["resume", "stopped", "--json"], { cwd });
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(outcome("stopped")).toEqual(outcome("one"));
});

test("another weight is another plan, in the receipt too; no weights are the plan of the files, whatever columns they have [D-mix-run]", async () => {
  const planOf = async (out: string, ...more: string[]) => {
    const { code, stderr } = await zerogateHere(["train", ...flags, ...more, "--steps", "1", "--out", out], { cwd });
    expect(code, stderr).toBe(0);
    const [start] = jsonLines(readFileSync(join(cwd, out, "receipt.jsonl"), "utf8"));
    return start?.["hashes"] as { plan: string; data: string };
  };
  const [mixed, other] = [await planOf("m", "--config", "mix.yaml"), await planOf("o", "--config", "other.yaml")];
  expect(other.data).toBe(mixed.data);
  expect(other.plan).not.toBe(mixed.plan);
  const renamed = all.slice(48).map(({ instruction, input, output }) => ({ q: instruction, more: input, a: output }));
  writeFileSync(join(cwd, "renamed.jsonl"), renamed.map((record) => JSON.stringify(record)).join("\n"));
  const fields = { instruction: "q", input: "more", output: "a" };
  write("parts.yaml", ["many.json", { path: "renamed.jsonl", fields }]);
  write("alike.yaml", ["many.json", "few.json"]);
  expect(await planOf("p", "--config", "parts.yaml")).toEqual(await planOf("a", "--config", "alike.yaml"));
});
