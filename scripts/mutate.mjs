/**
 * Plants single wrong lines, drawn at random, and runs the tests that belong to the file: each should fail. How to read the
 * result: docs/mutants.md. Needs a build.
 *
 *   node scripts/mutate.mjs --count 60 --seed 1 packages/core/src/optim packages/core/src/sum
 *   node scripts/mutate.mjs packages/core/src/optim/adamw.ts:41        every mutant of a line
 *
 * --count N    mutants to judge, those left out that do not type-check; without it all
 * --seed N     decides the draw
 * --results F  adds one line of JSON for each mutant to this file
 * --again F    only mutants that survived in such a file: whether new tests see them
 * --list       says what would be planted, and plants nothing
 */
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { randomBits } from "@zerogate/core/training";
import { copyProject, openFile } from "./mutants/copy.mjs";
import { testsByFile } from "./mutants/nearest_tests.mjs";
import { findMutants } from "./mutants/operators.mjs";
import { createScore } from "./mutants/score.mjs";
import { openTestRunner } from "./mutants/test_runner.mjs";
import { openTypeCheck } from "./mutants/type_check.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: "string" },
    seed: { type: "string", default: "1" },
    results: { type: "string" },
    again: { type: "string" },
    list: { type: "boolean" },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const seed = Number(values.seed);
const isDraw = values.count !== undefined;
const most = values.count === undefined ? Number.POSITIVE_INFINITY : Number(values.count);
const missing = positionals.filter((name) => !existsSync(name.replace(/:\d+$/, "")));
if (missing.length > 0) {
  console.error(`Cannot draw mutants: there is no ${missing.join(", ")}`);
  process.exit(2);
}
if (positionals.length === 0 || !Number.isSafeInteger(seed) || !(most > 0)) {
  console.error("Cannot draw mutants: name folders or files below packages/*/src, --count and --seed are numbers");
  process.exit(2);
}

const opened = new Map();
const copy = copyProject(root);
const runner = openTestRunner(copy.folder, copy.scratch);
const cleanUp = () => {
  runner.stop();
  copy.remove();
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => {
    cleanUp();
    process.exit(130);
  });
}
try {
  await main();
} finally {
  cleanUp();
}

async function main() {
  const testsOf = testsByFile(copy.folder);
  const score = createScore(join(root, "scripts/mutants/equivalents.json"));
  let judged = 0;
  for (const mutants of drawnLines()) {
    for (const { file, line, start, end, is: put, operator } of mutants) {
      if (judged >= most) break;
      const source = openFile(copy.folder, file);
      const mutated = source.text.slice(0, start) + put + source.text.slice(end);
      const { was, is } = textsOf({ file, start, end, is: put });
      const told = { seed, file, line, operator, was, is };
      const change = `${file}:${line}  ${was}  ->  ${is}`;
      if (typeChecks(file).problem(source.path, mutated) !== undefined) {
        score.add({ ...told, outcome: "invalid" });
        continue;
      }
      judged++;
      if (values.list) {
        console.log(`${change}  ${testsOf(file).join(" ")}`);
      } else {
        const reason = score.equivalenceOf(told);
        const mutant = { ...source, plant: () => source.plant(mutated) };
        const found = reason ? { outcome: "equivalent", by: reason } : await runner.run(testsOf(file), mutant);
        score.add({ ...told, ...found });
        if (values.results) appendFileSync(values.results, `${JSON.stringify({ ...told, ...found })}\n`);
        console.log(`${found.outcome.padEnd(10)} ${change}  ${found.by}`);
      }
      if (isDraw) break;
    }
  }
  if (!values.list) console.log(score.table());
}

/**
 * The mutants of what was asked for, line by line: all of them in the order of the text, or if some are drawn, lines and the
 * mutants of each in the order that the seed decides. Then one of each line is judged, so that a formula counts as one line does.
 */
function drawnLines() {
  const lines = positionals.flatMap((name) => {
    const [, path, at] = /^(.*?)(?::(\d+))?$/.exec(relative(root, join(process.cwd(), name))) ?? [];
    return sourceFiles(path).flatMap((file) => linesOf(file).filter(([{ line }]) => !at || line === Number(at)));
  });
  if (values.again) {
    const before = new Set(survivorsIn(values.again).map(({ file, was, is }) => JSON.stringify([file, was, is])));
    const isOne = (mutant) => before.delete(JSON.stringify([mutant.file, ...Object.values(textsOf(mutant))]));
    return lines.map((mutants) => mutants.filter(isOne));
  }
  return isDraw ? shuffled(lines, 0).map((mutants, i) => shuffled(mutants, i + 1)) : lines;
}

function survivorsIn(results) {
  const lines = readFileSync(results, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line)).filter(({ outcome }) => outcome === "survived");
}

/** The lines that a mutant changes, before and after. */
function textsOf({ file, start, end, is: put }) {
  const { text } = openFile(copy.folder, file);
  const mutated = text.slice(0, start) + put + text.slice(end);
  return { was: linesAround(text, start, end), is: linesAround(mutated, start, start + put.length) };
}

function shuffled(list, stream) {
  const keys = new Map(list.map((entry, i) => [entry, randomBits(seed, stream, i)]));
  return list.toSorted((a, b) => keys.get(a) - keys.get(b));
}

/** Mutants of a file, those that begin in the same line together. */
function linesOf(file) {
  const check = typeChecks(file);
  const source = check.source(join(copy.folder, file));
  const mutants = findMutants(source, check.kindOf).map((mutant) => {
    return { file, line: source.getLineAndCharacterOfPosition(mutant.start).line + 1, ...mutant };
  });
  const lines = new Set(mutants.map(({ line }) => line));
  return [...lines].map((line) => mutants.filter((mutant) => mutant.line === line));
}

function sourceFiles(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path), { recursive: true })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.endsWith("index.ts"))
    .map((name) => join(path, name))
    .toSorted();
}

/** The type check of a file's package. */
function typeChecks(file) {
  const folder = file.split("/").slice(0, 2).join("/");
  const known = opened.get(folder) ?? openTypeCheck(join(copy.folder, folder));
  opened.set(folder, known);
  return known;
}

/** The whole lines around a piece of text, as one line. */
function linesAround(text, start, end) {
  const begin = text.lastIndexOf("\n", start - 1) + 1;
  const rest = text.indexOf("\n", end);
  return text
    .slice(begin, rest < 0 ? text.length : rest)
    .trim()
    .replace(/\s+/g, " ");
}
