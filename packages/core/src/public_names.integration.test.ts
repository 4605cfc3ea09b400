/** The docstrings of @zerogate/core: every public name has one, and every example in them compiles, runs and gives what it says. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { given, writeExampleFiles } from "../test/example_world.ts";
import { openProgram, problemsIn, publicNames, withoutTypes } from "../test/public_names.ts";
import * as engine from "./engine.ts";
import * as formats from "./formats.ts";
import * as core from "./index.ts";
import * as light from "./light.ts";
import * as node from "./node.ts";
import * as training from "./training.ts";
import * as vision from "./vision.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-names-"));
const home = process.cwd();
beforeAll(async () => {
  process.chdir(folder);
  await writeExampleFiles();
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

const names = publicNames(openProgram());
const title = ({ entry, name }: { entry: string; name: string }) => `${entry}: ${name}`;

test("every public name of core has a docstring", () => {
  expect(names.length).toBeGreaterThan(300);
  expect(names.filter(({ text }) => text.length < 10).map(title)).toEqual([]);
});

test("every function and class of the main entry has an example, its errors have one together", () => {
  const ofMain = names.filter(({ entry, kind }) => entry === "@zerogate/core" && ["function", "class"].includes(kind));
  const errors = ofMain.filter(({ file }) => file.endsWith("/errors.ts"));
  expect(errors.some(({ examples }) => examples.length > 0)).toBe(true);
  const others = ofMain.filter((name) => !errors.includes(name));
  expect(others.filter(({ examples }) => examples.length === 0).map(title)).toEqual([]);
});

test("every optional field of core's public interfaces says its default", () => {
  const fields = names.flatMap((name) => name.withoutDefault.map((field) => `${title(name)}.${field}`));
  expect(fields).toEqual([]);
});

const ownWords = { console: { log: () => {}, warn: () => {} }, process: { stdout: { write: () => true } } };

const exported: Readonly<Record<string, unknown>> = {
  ...core,
  ...engine,
  ...formats,
  ...light,
  ...node,
  ...training,
  ...vision,
};

const examples = names.flatMap((name) => name.examples.map((code) => ({ ...name, code, title: name.name })));
const uses = (code: string, word: string) => new RegExp(`(?<!(?<!\\.\\.)\\.|\\w)${word}\\b(?!:)`).test(code);

/** Writes an example as a module: imports of the public names in it, and in a block, so that it may declare what it is given. */
function asModule(code: string): string {
  const usedGiven = Object.entries(given).filter(([word]) => uses(code, word));
  const types = usedGiven.map(([, [type]]) => type).join(" ");
  const imports = names
    .filter(({ name }) => uses(`${code} ${types}`, name))
    .map(({ entry, name }) => `import { ${name in exported ? name : `type ${name}`} } from "${entry}";`);
  const constants = usedGiven.map(([word, [type]]) => `declare const ${word}: ${type};`);
  return [...imports, ...constants, "{", code, "}", "export {};"].join("\n");
}

test("every example in core's docstrings compiles with what its users import", () => {
  expect(examples.length).toBeGreaterThan(40);
  const modules = new Map(
    examples.map(({ name, code }, i) => [join(import.meta.dirname, `example_${name}_${i}.ts`), asModule(code)]),
  );
  const program = openProgram(modules);
  const problems = [...modules.keys()].flatMap((path) => problemsIn(program, path).map((text) => `${path}: ${text}`));
  expect(problems).toEqual([]);
});

/** Makes `value; // text` a claim to check; words after the value, behind a colon, explain it. */
const withClaims = (code: string) =>
  code.replace(/^(?!const |let |for |if |[ }])(.+); \/\/ (.+)$/gm, (_, value, text) => {
    return `claim(${value}, ${JSON.stringify(text)});`;
  });

/** Compares with the JSON that a text is, or that stands before a colon in it. */
function claim(value: unknown, text: string): void {
  const ends = [text.length, ...[...text.matchAll(/: /g)].map(({ index }) => index)];
  const claimed = ends.map((end) => parsed(text.slice(0, end))).find((json) => json !== undefined);
  expect(value, `what the example says: ${text}`).toEqual(claimed);
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

test.each(examples)("the example of $title runs and gives what it says", async ({ code }) => {
  const words = {
    ...exported,
    ...Object.fromEntries(Object.entries(given).map(([k, [, v]]) => [k, v])),
    ...ownWords,
    claim,
  };
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...args: unknown[]) => Promise<void>;
  const body = withoutTypes(`{\n${withClaims(code)}\n}`);
  const run = new AsyncFunction(...Object.keys(words), body);
  await expect(run(...Object.values(words))).resolves.toBeUndefined();
});
