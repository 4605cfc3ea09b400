/** What the entries of @zerogate/core offer, with their docstrings, read by the TypeScript compiler in one program. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const core = join(root, "packages/core");

/** Entries of the package as its users import them: `@zerogate/core/node`, and the source file of each. */
const entries: readonly { readonly name: string; readonly file: string }[] = Object.entries<{
  "@zerogate/source": string;
}>(JSON.parse(readFileSync(join(core, "package.json"), "utf8")).exports).map(([path, conditions]) => ({
  name: join("@zerogate/core", path),
  file: join(core, conditions["@zerogate/source"]),
}));

/** A public name: `file` declares it. */
export interface PublicName {
  readonly entry: string;
  readonly name: string;
  readonly file: string;
  readonly kind: "function" | "class" | "interface" | "other";
  readonly text: string;
  readonly examples: readonly string[];
  /** Optional fields of an interface that say no default. */
  readonly withoutDefault: readonly string[];
}

/** Opens a program of the entries, and of files that are not on disk: `virtual` has their texts by path. */
export function openProgram(virtual: ReadonlyMap<string, string> = new Map()): ts.Program {
  const { config } = ts.readConfigFile(join(root, "tsconfig.docs.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, root);
  // An example need not use what it shows.
  Object.assign(options, { noUnusedLocals: false, noUnusedParameters: false });
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.getSourceFile = (path, ...rest) => {
    const text = virtual.get(path);
    const [version] = rest;
    return text === undefined ? getSourceFile(path, ...rest) : ts.createSourceFile(path, text, version);
  };
  return ts.createProgram([...entries.map(({ file }) => file), ...virtual.keys()], options, host);
}

/** Lists every public name once, under the first entry that has it. */
export function publicNames(program: ts.Program): PublicName[] {
  const checker = program.getTypeChecker();
  const names = new Map<ts.Symbol, PublicName>();
  for (const { name: entry, file } of entries) {
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    if (!module) throw new RangeError(`Cannot list the names of ${entry}: ${file} exports nothing`);
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (!names.has(symbol)) names.set(symbol, described(entry, symbol, checker));
    }
  }
  return [...names.values()];
}

function described(entry: string, symbol: ts.Symbol, checker: ts.TypeChecker): PublicName {
  const [declaration] = symbol.declarations ?? [];
  if (!declaration) throw new RangeError(`Cannot describe ${symbol.name}: it is declared nowhere`);
  const tags = symbol.getJsDocTags(checker).filter(({ name }) => name === "example");
  const members = ts.isInterfaceDeclaration(declaration) ? [...declaration.members] : [];
  return {
    entry,
    name: symbol.name,
    file: declaration.getSourceFile().fileName,
    kind: kindOf(declaration),
    text: ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim(),
    examples: tags.map(({ text }) => ts.displayPartsToString(text)),
    withoutDefault: members
      .filter((member) => ts.isPropertySignature(member) && member.questionToken)
      .filter((member) => !ts.getJSDocTags(member).some(({ tagName }) => tagName.text === "default"))
      .map((member) => member.name?.getText() ?? ""),
  };
}

function kindOf(declaration: ts.Declaration): PublicName["kind"] {
  if (ts.isFunctionDeclaration(declaration)) return "function";
  if (ts.isClassDeclaration(declaration)) return "class";
  return ts.isInterfaceDeclaration(declaration) ? "interface" : "other";
}

/** Says what the compiler finds wrong in a file of the program, a line each. */
export function problemsIn(program: ts.Program, path: string): string[] {
  const source = program.getSourceFile(path);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
    ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "),
  );
}

/** Returns the same code without its types. */
export const withoutTypes = (code: string): string =>
  ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
  }).outputText;
