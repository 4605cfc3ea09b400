/** Asks the compiler whether a changed file still type-checks: what does not would never be built, so it is no mutant. */
import { dirname, join } from "node:path";
import ts from "typescript";

/** Rules that a mutant may break: they forbid no behaviour. */
const LENIENT = { noUnusedLocals: false, noUnusedParameters: false, allowUnreachableCode: true, noEmit: true };

/** @param packageFolder absolute path of a package with a tsconfig.json */
export function openTypeCheck(packageFolder) {
  const config = join(packageFolder, "tsconfig.json");
  const read = ts.readConfigFile(config, ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(read.config, ts.sys, dirname(config));
  const changed = new Map();
  let version = 0;
  const service = ts.createLanguageService({
    getCompilationSettings: () => ({ ...options, ...LENIENT }),
    getScriptFileNames: () => fileNames,
    getScriptVersion: (path) => String(changed.get(path)?.version ?? 0),
    getScriptSnapshot(path) {
      const text = changed.get(path)?.text ?? ts.sys.readFile(path);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => packageFolder,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
    readDirectory: ts.sys.readDirectory,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
  });

  return {
    source: (path) => service.getProgram().getSourceFile(path),
    /** Name of an expression's type, as operators.mjs wants it. */
    kindOf(node) {
      const checker = service.getProgram().getTypeChecker();
      const type = checker.getTypeAtLocation(node);
      if (checker.isArrayType(type)) return "array";
      for (const [name, flag] of kinds) if (type.flags & flag) return name;
      return undefined;
    },
    /** What the compiler says to `text` in the place of the file; undefined if nothing. */
    problem(path, text) {
      version++;
      changed.set(path, { version, text });
      const [first] = [...service.getSyntacticDiagnostics(path), ...service.getSemanticDiagnostics(path)];
      changed.set(path, { version: ++version, text: ts.sys.readFile(path) });
      return first && ts.flattenDiagnosticMessageText(first.messageText, " ");
    },
  };
}

const kinds = [
  ["number", ts.TypeFlags.NumberLike],
  ["string", ts.TypeFlags.StringLike],
  ["boolean", ts.TypeFlags.BooleanLike],
];
