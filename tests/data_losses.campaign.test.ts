/** What a run says of data that it does not train as it is, and runs that are shorter than their preset means them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, records, stepMetrics, tinyRun } from "./support/world.ts";

const folder = testFolder();
const at = (...path: string[]) => join(folder, ...path);
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });

/** 64 records; `long` of them have an instruction that leaves no room for an answer in 128 tokens. */
function withLong(name: string, long: number, extra: Readonly<Record<string, unknown>> = {}): string {
  const short = records("train.json", 64 - long).map((record) => ({ ...record, ...extra }));
  const tooLong = records("train.json", long).map((record) => ({
    ...record,
    instruction: "Name the day. ".repeat(60),
  }));
  writeFileSync(at(name), JSON.stringify([...short, ...tooLong]));
  return name;
}

const tiny = (changes: Readonly<Record<string, string>> = {}) => ["train", ...tinyRun(folder, changes)];

describe("records left out by maxLength", () => {
  test("more than maxDropped allows are refused, with what to type [T-D3]", async () => {
    const data = withLong("many.json", 16);
    const refused = await run(...tiny({ "--data": data }), "--out", "refused");
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(
      /Cannot use the data: 16 of 64 records of data would be left out.*maxLength 128 \(the longest has \d{3} tokens\), and maxDropped allows 5 %/,
    );
    expect(refused.stderr).toContain("the model's context of 256 tokens is too short for them: shorten them");
    expect(refused.stderr).toContain("--max-dropped 0.25 goes on without them");
    expect(existsSync(at("refused"))).toBe(false);
    const dry = await run(...tiny({ "--data": data }), "--out", "refused", "--dry-run");
    expect(dry).toMatchObject({ code: 2, stdout: "" });
    const validation = await run(...tiny({ "--validation-data": data }), "--out", "refused");
    expect(validation).toMatchObject({ code: 2 });
    expect(validation.stderr).toContain("16 of 64 records of validation data would be left out");
  });

  test("the length that it names keeps what it says [T-D3]", async () => {
    const short = (length: string) =>
      run(
        ...tiny({ "--max-length": length, "--validation-data": "data.json" }),
        "--out",
        "short",
        "--dry-run",
        "--json",
      );
    const refused = await short("45");
    expect(refused.code).toBe(2);
    const [, length = "", share = ""] = /--max-length (\d+) would keep (\d+) %/.exec(refused.stderr) ?? [];
    expect(Number(share)).toBeGreaterThanOrEqual(95);
    const kept = await short(length);
    expect(kept.code).toBe(0);
    const [data] = kept.json.flatMap((facts) => facts["data"] as { kept: number; cut: number }[]);
    expect(data?.cut).toBeGreaterThan(0);
    expect(((data?.kept ?? 0) - (data?.cut ?? 0)) / 64).toBeGreaterThanOrEqual(Number(share) / 100);
  });

  test("an answer with one token left after a cut is not empty [T-D3]", async () => {
    const items = records("train.json", 16).map((record, i) => ({ ...record, output: i < 3 ? "" : record.output }));
    writeFileSync(at("empty.json"), JSON.stringify(items));
    for (const length of ["39", "40", "41", "42"]) {
      const flags = tiny({ "--data": "empty.json", "--max-length": length, "--max-dropped": "1" });
      const dry = await run(...flags, "--out", "short", "--dry-run", "--json");
      const [data] = dry.json.flatMap((facts) => facts["data"] as { emptyAnswers: number }[]);
      expect(data?.emptyAnswers).toBeLessThanOrEqual(3);
    }
    const whole = await run(...tiny({ "--data": "empty.json" }), "--out", "short", "--dry-run", "--json");
    expect(whole.json[0]).toMatchObject({ data: [{ emptyAnswers: 3 }, { emptyAnswers: 0 }] });
  });

  test("fewer are counted on the terminal, in the dry run, in log.jsonl and the report [T-D3, T-C7, T-case23]", async () => {
    const data = withLong("few.json", 3, { system: "Be short.", history: [["a", "b"]] });
    const dry = await run(...tiny({ "--data": data }), "--out", "counted", "--dry-run", "--json");
    const counts = {
      name: "data",
      records: 64,
      kept: 61,
      noAnswerLeft: 3,
      bad: 0,
      emptyAnswers: 0,
      maxLength: 128,
      unread: [
        { name: "history", records: 61 },
        { name: "system", records: 61 },
      ],
    };
    expect(dry.json[0]).toMatchObject({ data: [counts, { name: "validation data", records: 8, kept: 8 }] });
    const done = await run(...tiny({ "--data": data }), "--out", "counted");
    expect(done.code).toBe(0);
    expect(done.stderr).toContain("3 records of data were left out: nothing of the answer fits into maxLength 128");
    expect(done.stderr).toContain(
      'fields of data are not used, here with their records: "history" (61), "system" (61); put what matters of system and history into instruction',
    );
    const log = readFileSync(at("counted", "log.jsonl"), "utf8").trimEnd().split("\n");
    const logged = log
      .map((line) => JSON.parse(line) as { counts?: object })
      .filter((line) => line.counts !== undefined);
    expect(logged).toMatchObject([{ counts, level: 30 }, { counts: { name: "validation data" } }]);
    const report = readFileSync(at("counted", "report.html"), "utf8");
    expect(report).toContain("data: 61 of 64 records are used");
    expect(report).toContain("3 records of data were left out");
    // The second time the tokens come from the cache, and the counts with them.
    const again = await run(...tiny({ "--data": data }), "--out", "again", "--dry-run", "--json");
    expect(again.json[0]).toMatchObject({ data: [counts, {}] });
  });

  test("records that are bad or only cut do not count, and maxDropped 1 takes all [T-D3]", async () => {
    const items = [...records("train.json", 30), ...Array.from({ length: 30 }, () => ({ instruction: "x" }))];
    writeFileSync(at("bad.json"), JSON.stringify(items));
    const bad = await run(...tiny({ "--data": "bad.json" }), "--skip-bad-records", "--out", "b", "--dry-run", "--json");
    expect(bad.json[0]).toMatchObject({ data: [{ records: 60, kept: 30, bad: 30, noAnswerLeft: 0 }, {}] });
    const all = await run(
      ...tiny({ "--data": withLong("most.json", 60), "--max-dropped": "1" }),
      "--out",
      "b",
      "--dry-run",
      "--json",
    );
    expect(all.json[0]).toMatchObject({ data: [{ records: 64, kept: 4, noAnswerLeft: 60 }, {}] });
  });

  test("eval says them and has them in its JSON [T-D3]", async () => {
    const { code, stderr, json } = await run(
      "eval",
      "--model",
      base,
      "--data",
      withLong("eval.json", 3),
      "--max-length",
      "128",
      "--json",
    );
    expect(code).toBe(0);
    expect(stderr).toContain("3 records of data were left out");
    expect(json[0]).toMatchObject({ samples: 61, data: { kept: 61, noAnswerLeft: 3 } });
  });
});

describe("a run shorter than its preset means it", () => {
  test("quickstart --steps 3 trains, with a note on the warm-up [T-D5]", async () => {
    const { code, stderr, json } = await run("quickstart", "--steps", "3", "--out", "quick", "--json");
    expect(code).toBe(0);
    expect(stderr).toContain("the warm-up of 10 steps is longer than the run's 3 steps: it takes 3 % of them, 0 steps");
    expect(json.at(-1)).toMatchObject({ event: "done", steps: 3, unmoved: [] });
    const stored = JSON.parse(readFileSync(at("quick", "config.json"), "utf8")) as Record<string, unknown>;
    expect([stored["warmupRatio"], stored["warmupSteps"], stored["steps"]]).toEqual([0.03, undefined, 3]);
    expect(stepMetrics(at("quick")).map(({ learningRate }) => learningRate)[0]).toBe(0.05);
    const repeated = await run("train", "--config", join("quick", "config.json"), "--out", "quick-again", "--json");
    expect(repeated.stderr).not.toContain("warm-up");
    expect(adapterHash(at("quick-again"))).toBe(adapterHash(at("quick")));
  });

  test.each(["paper", "quick", "peft"])(
    "so does --preset %s --steps 3, and the dry run says the same [T-D5]",
    async (preset) => {
      const flags = [...tiny({ "--steps": "3" }), "--preset", preset, "--out", `preset-${preset}`];
      const dry = await run(...flags, "--dry-run", "--json");
      expect(dry.json[0]).toMatchObject({ totalSteps: 3, warmupSteps: 0 });
      const done = await run(...flags, "--json");
      expect(done.json.at(-1)).toMatchObject({ event: "done", steps: 3, unmoved: [] });
    },
  );

  test("half an epoch and two and a half end where they say, with a validation at each end of an epoch [T-D11]", async () => {
    const flags = tiny().flatMap((word, i, all) => (word === "--steps" || all[i - 1] === "--steps" ? [] : [word]));
    for (const [epochs, steps, evaluated] of [
      ["0.5", 4, [0, 4]],
      ["2.5", 20, [0, 8, 16, 20]],
    ] as const) {
      const out = `epochs-${epochs}`;
      const { code, json } = await run(...flags, "--epochs", epochs, "--out", out, "--json");
      expect(code).toBe(0);
      const done = json.at(-1) as unknown as { steps: number; validation: { step: number }[] };
      expect([done.steps, done.validation.map(({ step }) => step)]).toEqual([steps, evaluated]);
      expect(stepMetrics(at(out)).at(-1)).toMatchObject({ step: steps, epoch: Number(epochs) });
    }
    const whole = await run(
      ...flags,
      "--epochs",
      "1",
      "--schedule",
      "constant",
      "--warmup-steps",
      "0",
      "--out",
      "one",
      "--json",
    );
    expect(whole.code).toBe(0);
    const half = await run(
      ...flags,
      "--epochs",
      "0.5",
      "--schedule",
      "constant",
      "--warmup-steps",
      "0",
      "--out",
      "half",
      "--json",
    );
    expect(half.code).toBe(0);
    const losses = (name: string) => stepMetrics(at(name)).map(({ loss }) => loss);
    expect(losses("half")).toEqual(losses("one").slice(0, 4));
  });
});
