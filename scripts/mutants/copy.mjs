/** A copy of the project in which mutants are planted: the working tree is never changed, even if this process is killed. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import ts from "typescript";

/** @returns the copy's folder, a folder for what its tests write, and what removes both */
export function copyProject(root) {
  const parent = mkdtempSync(join(tmpdir(), "zerogate-mutants-"));
  const folder = join(parent, "project");
  const packages = join("node_modules", ".pnpm");
  const skipped = new Set([".git", packages]);
  cpSync(root, folder, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !skipped.has(relative(root, path)) && !path.split(sep).includes(".vite"),
  });
  symlinkSync(join(root, packages), join(folder, packages));
  // Field cases lie beside the project, if there are any.
  const shared = join(dirname(root), "shared");
  if (existsSync(shared)) symlinkSync(shared, join(parent, "shared"));
  const scratch = join(parent, "scratch");
  mkdirSync(scratch);
  return { folder, scratch, remove: () => rmSync(parent, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A file of the copy as source and, for workers and commands, as built JavaScript. */
export function openFile(folder, file) {
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  const built = join(folder, file.replace("/src/", "/dist/").replace(/\.ts$/, ".js"));
  const builtText = readFileSync(built, "utf8");
  return {
    file,
    path,
    text,
    plant(mutated) {
      writeFileSync(path, mutated);
      writeFileSync(built, ts.transpileModule(mutated, { compilerOptions }).outputText);
    },
    remove() {
      writeFileSync(path, text);
      writeFileSync(built, builtText);
    },
  };
}

const compilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};
