/** Which tests belong to a source file: those of its package that load it, nearest first, and those that settings.json names. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import ts from "typescript";

const settings = JSON.parse(readFileSync(new URL("settings.json", import.meta.url), "utf8"));

/** @returns a function from a source file to its test files, all relative to `root` */
export function testsByFile(root) {
  const edges = new Map();
  const importsOf = (path) => {
    const known = edges.get(path);
    if (known) return known;
    const found = importedPaths(root, path);
    edges.set(path, found);
    return found;
  };
  const distances = new Map();
  const distancesFrom = (test) => {
    const known = distances.get(test);
    if (known) return known;
    const found = new Map([[test, 0]]);
    for (const [path, distance] of found) {
      for (const next of importsOf(path)) if (!found.has(next)) found.set(next, distance + 1);
    }
    distances.set(test, found);
    return found;
  };

  return (file) => {
    const path = join(root, file);
    const ranked = testFiles(join(root, file.split("/").slice(0, 2).join("/"), "src"))
      .map((test) => ({ test, rank: rankOf(path, test, distancesFrom(test).get(path)) }))
      .filter(({ test, rank }) => rank < Number.POSITIVE_INFINITY && !(rank >= 0 && isSlow(relative(root, test))))
      .toSorted((a, b) => a.rank - b.rank || (a.test < b.test ? -1 : 1));
    const near = ranked.slice(0, settings.nearest).map(({ test }) => relative(root, test));
    const named = Object.entries(settings.tests).flatMap(([start, tests]) => (file.startsWith(start) ? tests : []));
    const own = near.filter((test) => isTestOf(path, join(root, test)));
    return [...new Set([...own, ...named, ...near])];
  };
}

/** Those that take minutes are asked only if they are named, or are the file's own. */
const isSlow = (test) => settings.slow.includes(test) || test.endsWith(".campaign.test.ts");

const isTestOf = (path, test) =>
  [".test.ts", ".integration.test.ts"].some((ending) => test === path.replace(/\.ts$/, ending));

/** The test that has the file's own name comes first, then those that load it by fewer imports. */
function rankOf(path, test, distance) {
  if (isTestOf(path, test)) return -1;
  if (distance === undefined) return Number.POSITIVE_INFINITY;
  return distance + (dirname(test) === dirname(path) ? 0 : 0.5);
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => basename(name).endsWith(".test.ts"))
    .map((name) => join(folder, name));
}

/** Files of the project that a file loads at run time. */
function importedPaths(root, path) {
  const text = readFileSync(path, "utf8");
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const names = source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    if (statement.importClause?.isTypeOnly || statement.isTypeOnly || !statement.moduleSpecifier) return [];
    return statement.moduleSpecifier.text;
  });
  names.push(...Array.from(text.matchAll(/\bimport\("([^"]+)"\)/g), ([, name]) => name)); // loaded when it is needed
  return names.flatMap((name) => {
    const [, own, entry = "/index"] = /^@zerogate\/([^/]+)(\/.+)?$/.exec(name) ?? [];
    const target = own
      ? join(root, "packages", own, `src${entry}.ts`)
      : name.startsWith(".")
        ? resolve(dirname(path), name)
        : "";
    return target.endsWith(".ts") && existsSync(target) ? [target] : [];
  });
}
