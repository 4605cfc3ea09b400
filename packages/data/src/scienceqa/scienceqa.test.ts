import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { absent, sharedPath } from "../../../core/test/shared.ts";
import { findMissingImages } from "../record_images.ts";
import { readRecords } from "../records.ts";
import { answerLead, loadTemplate, renderPrompt } from "../templates.ts";
import { readScienceCaptions, readScienceSplit, type ScienceProblem } from "./problems.ts";
import {
  chanceOf,
  classesOf,
  majorityChoices,
  namedChoice,
  rightChoices,
  sameSkillChoices,
  scienceAccuracy,
} from "./score.ts";
import { type ScienceFormat, scienceFormats, scienceRecord } from "./text.ts";

const problem = {
  question: "Which  is  larger?",
  choices: ["the  sun", "the moon"],
  answer: 0,
  hint: "",
  image: null,
  grade: "grade3",
  subject: "natural science",
  topic: "t",
  skill: "sizes",
  lecture: "Stars\nare big.",
  solution: "The sun is one.",
  split: "train",
};
const problems = {
  1: problem,
  2: { ...problem, image: "image.png", hint: "Look.", answer: 1, grade: "grade10", split: "val" },
  3: { ...problem, choices: ["only one"] },
  4: { ...problem, answer: 2 },
  5: { ...problem, question: " " },
};
const splits = { train: ["1"], val: ["2"], test: [], trainval: ["1", "2"], bad: ["1", "3", "4", "5", "6"] };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zerogate-scienceqa-"));
  await mkdir(join(folder, "images/val/2"), { recursive: true });
  await writeFile(join(folder, "images/val/2/image.png"), "");
  await writeFile(join(folder, "problems.json"), JSON.stringify(problems));
  await writeFile(join(folder, "pid_splits.json"), JSON.stringify(splits));
  await writeFile(join(folder, "captions.json"), JSON.stringify({ captions: { 2: "a moon" } }));
});
afterAll(() => rm(folder, { recursive: true }));

test("a folder with problems and splits is ScienceQA, and # names the split", async () => {
  const { records, images, files } = await readRecords(folder, { images: true });
  expect(records).toEqual([
    {
      instruction: "Question: Which is larger?",
      input: "Context: N/A\nOptions: (A) the sun (B) the moon",
      output: "The answer is A.",
    },
  ]);
  expect(images).toEqual([]);
  expect(files.map(({ path }) => path)).toEqual(["problems.json", "pid_splits.json"].map((name) => join(folder, name)));
  expect((await readRecords(folder, { split: "val" })).unread).toEqual([{ name: "image", records: 1 }]);
  const both = await readRecords([`${folder}#trainval`, `${folder}#val`], { images: true });
  expect(both.records.map(({ output }) => output)).toEqual([
    "The answer is A.",
    "The answer is B.",
    "The answer is B.",
  ]);
  expect(both.images.map(({ record, paths, place }) => [record, paths, place.index])).toEqual([
    [1, ["val/2/image.png"], 2],
    [2, ["val/2/image.png"], 2],
  ]);
  expect((await findMissingImages(both.images)).size).toBe(0);
  const captioned = await readRecords(`${folder}#val`, { captions: true });
  expect(captioned.records[0]?.input).toContain("Context: Look. a moon\n");
});

test("a split that there is not, and problems that are none, are named", async () => {
  await expect(readRecords(`${folder}#dev`)).rejects.toThrow(
    'pid_splits.json has no split "dev", it has: train, val, test, trainval, bad',
  );
  const bad = await readRecords(`${folder}#bad`, { skipBad: true });
  expect([bad.records.length, bad.skipped]).toEqual([1, 4]);
  expect(bad.problems.map(({ index, field, found }) => [index, field, found])).toEqual([
    [3, "choices", "1 choices"],
    [4, "answer", '"2"'],
    [5, "question", "an empty text"],
    [6, undefined, "nothing"],
  ]);
  await expect(readRecords(`${folder}#bad`)).rejects.toThrow(/Cannot use 4 of 5 records.*problems.json, record 3/s);
});

test("images beside the problems, as they were downloaded, are found too", async () => {
  const other = await mkdtemp(join(tmpdir(), "zerogate-scienceqa-"));
  for (const name of ["problems.json", "pid_splits.json"]) {
    await writeFile(join(other, name), JSON.stringify(name === "problems.json" ? problems : splits));
  }
  await mkdir(join(other, "val/2"), { recursive: true });
  await writeFile(join(other, "val/2/image.png"), "");
  const { images } = await readRecords(`${other}#val`, { images: true });
  expect((await findMissingImages(images)).size).toBe(0);
  await rm(other, { recursive: true });
});

/** What the authors' code makes of a problem, in one piece; `answer` undefined: what it asks. */
function official(one: ScienceProblem, format: ScienceFormat, answer?: string, caption = ""): string {
  const [input, output = ""] = format.split("-");
  const context = `${one.hint} ${caption}`.trim() || "N/A";
  const options = one.choices.map((choice, i) => `(${"ABCDE"[i]}) ${choice}`).join(" ");
  const asked = `Question: ${one.question}\n`;
  const head = input === "QCM" ? `${asked}Context: ${context}\n` : `Context: ${context}\n${asked}`;
  const [lecture, solution] = [one.lecture, one.solution].map((text) => text.split("\n").join("\\n"));
  // The names of AL and AE are swapped in the authors' code.
  const said: Record<string, string> = { A: "", AL: `${solution}`, AE: `${lecture}` };
  said["ALE"] = `${lecture} ${solution}`;
  said["AEL"] = `${solution} ${lecture}`;
  const because = said[output];
  const before: Record<string, string> = { LA: `${lecture}`, EA: `${solution}` };
  before["LEA"] = `${lecture} ${solution}`;
  before["ELA"] = `${solution} ${lecture}`;
  const whole =
    answer === undefined
      ? "Answer:"
      : because === undefined
        ? `Answer: ${before[output]} The answer is ${answer}.`
        : `Answer: The answer is ${answer}.${because === "" ? "" : ` BECAUSE: ${because}`}`;
  const text = `${head}Options: ${options}\n${whole}`.split("  ").join(" ").trim();
  return text.endsWith("BECAUSE:") ? text.replace(/BECAUSE:$/, "").trim() : text;
}

describe.each(["ScienceQA", "problems of our own"])("the text of %s", (which) => {
  const isReal = which === "ScienceQA";
  const skipped = isReal ? absent("data/scienceqa-subset") : "";
  const at = () => (isReal ? sharedPath("data/scienceqa-subset") : folder);
  const names = isReal ? (["train", "val", "test"] as const) : (["trainval"] as const);

  test.skipIf(skipped !== "")(`is the authors' own, byte for byte, in all forms [V12]${skipped}`, async () => {
    const template = await loadTemplate("scienceqa");
    const captions = await readScienceCaptions(at());
    let count = 0;
    for (const name of names) {
      const { problems: found, faults } = await readScienceSplit(at(), name);
      expect(faults).toEqual([]);
      for (const one of found) {
        count++;
        for (const format of scienceFormats) {
          const record = scienceRecord(one, { format });
          const prompt = renderPrompt(template, record);
          expect(prompt).toBe(official(one, format));
          const letter = "ABCDE"[one.answer];
          expect(`${prompt}${answerLead(template)}${record.output}`).toBe(official(one, format, letter));
        }
        const caption = captions.get(one.id);
        expect(renderPrompt(template, scienceRecord(one, { caption }))).toBe(
          official(one, "QCM-A", undefined, caption),
        );
      }
    }
    expect(count).toBe(isReal ? 1773 : 2);
  });
});

const noSubset = absent("data/scienceqa-subset");
test.skipIf(noSubset !== "")(`the baselines of the subset, to two decimals [V12]${noSubset}`, async () => {
  const at = sharedPath("data/scienceqa-subset");
  const training = (await readScienceSplit(at, "train")).problems;
  const { problems: asked } = await readScienceSplit(at, "test");
  const table = (credit: readonly number[]) =>
    Object.fromEntries(scienceAccuracy(asked, credit).map(({ name, accuracy }) => [name, accuracy?.toFixed(2)]));
  expect(scienceAccuracy(asked, chanceOf(asked)).map(({ name, problems: n }) => [name, n])).toEqual(
    Object.entries({ NAT: 186, SOC: 74, LAN: 101, TXT: 170, IMG: 167, NO: 124, "G1-6": 234, "G7-12": 127, AVG: 361 }),
  );
  expect(table(chanceOf(asked))).toEqual({
    NAT: "42.52",
    SOC: "26.80",
    LAN: "47.03",
    TXT: "43.14",
    IMG: "35.58",
    NO: "44.42",
    "G1-6": "40.24",
    "G7-12": "41.14",
    AVG: "40.56",
  });
  expect(table(rightChoices(asked, majorityChoices(training, asked)))).toMatchObject({ AVG: "37.95", IMG: "35.33" });
  expect(table(rightChoices(asked, sameSkillChoices(training, asked)))).toMatchObject({ AVG: "48.48", IMG: "44.31" });
});

test("accuracy by class and the baselines of a few problems of our own [V12]", async () => {
  const { problems: two } = await readScienceSplit(folder, "trainval");
  const [first, second] = two as [ScienceProblem, ScienceProblem];
  expect(classesOf(first)).toEqual(["NAT", "NO", "G1-6", "AVG"]);
  expect(classesOf(second)).toEqual(["NAT", "TXT", "IMG", "G7-12", "AVG"]);
  expect(classesOf({ ...second, subject: "art", hint: "" })).toEqual(["IMG", "G7-12", "AVG"]);
  const found = scienceAccuracy(two, rightChoices(two, [0, undefined]));
  expect(found.map(({ name, problems: n, accuracy }) => [name, n, accuracy])).toEqual([
    ["NAT", 2, 50],
    ["SOC", 0, undefined],
    ["LAN", 0, undefined],
    ["TXT", 1, 0],
    ["IMG", 1, 0],
    ["NO", 1, 100],
    ["G1-6", 1, 100],
    ["G7-12", 1, 0],
    ["AVG", 2, 50],
  ]);
  expect(chanceOf([first, { ...first, choices: ["a", "b", "c", "d"] }])).toEqual([0.5, 0.25]);
  const training = [second, second, first];
  expect(majorityChoices(training, [first, { ...first, choices: ["a", "b", "c"] }])).toEqual([1, undefined]);
  expect(majorityChoices([first, second], [first])).toEqual([0]); // the lowest of several
  expect(sameSkillChoices(training, [first, { ...first, choices: ["a", "b"] }, { ...first, skill: "x" }])).toEqual([
    1, 0, 0,
  ]);
});

test("a choice is what an answer names in the authors' words exactly once", () => {
  expect(["The answer is B.", "So: The answer is A. Why?", " The answer is E."].map(namedChoice)).toEqual([1, 0, 4]);
  const failed = [
    "",
    "B",
    "the answer is B.",
    "The answer is B",
    "The answer is b.",
    "The answer is A. The answer is B.",
  ];
  expect(failed.map(namedChoice)).toEqual(failed.map(() => undefined));
});
