/**
 * Makes a parsed template do what Jinja does in Python, where the library does otherwise: which characters `strip` and `trim` take
 * from texts, which letters become capitals, that loops go over the characters of a text, and that a round of a loop does not know
 * what the round before has set.
 */
import { Environment } from "@huggingface/jinja";

/** A node of a parsed template. */
interface Node {
  type: string;
  [field: string]: unknown;
}

type Value = ReturnType<Environment["set"]>;
type Run = (args: readonly Value[], scope: Environment) => Value;

const globals = new Environment();
/** The library's class of functions that see the variables around a call; it does not export it. */
const FunctionValue = globals.lookupVariable("namespace").constructor as new (run: Run) => Value;
const nothing = globals.set("nothing", null);

/** Names that no template can spell: functions that stand in the place of what the library does otherwise. */
const PREFIX = "python ";
const FORGET = `${PREFIX}forget`;
const ITEMS = `${PREFIX}items`;

/** Rewrites a parsed template in place; `pythonGlobals` has the functions that it calls then. */
export function followPython(program: unknown): void {
  visit(program, (node) => {
    if (node.type === "FilterExpression") replaceFilter(node);
    else if (node.type === "CallExpression") replaceMethod(node);
    else if (node.type === "For") changeLoop(node);
  });
}

/** The functions that a rewritten template calls. */
export function addPythonFunctions(environment: Environment): void {
  for (const [name, work] of Object.entries(methods)) environment.set(PREFIX + name, work);
  for (const [name, work] of Object.entries(filters)) environment.set(`${PREFIX}|${name}`, work);
  environment.setVariable(
    FORGET,
    new FunctionValue((names, scope) => {
      for (const name of names) scope.variables.delete(name.value as string);
      return nothing;
    }),
  );
  environment.setVariable(
    ITEMS,
    new FunctionValue(([list = nothing]) => {
      const { value } = list as { readonly value: unknown };
      if (typeof value === "string") return new Environment().set("items", Array.from(value));
      return value === undefined ? new Environment().set("items", []) : list;
    }),
  );
}

/** Calls `change` with every node, those inside it first. */
function visit(value: unknown, change: (node: Node) => void): void {
  if (Array.isArray(value)) for (const item of value) visit(item, change);
  else if (value instanceof Map) for (const entry of value) visit(entry, change);
  else if (isNode(value)) {
    for (const inner of Object.values(value)) visit(inner, change);
    change(value);
  }
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value;

const nameOf = (node: unknown): string | undefined =>
  isNode(node) && node.type === "Identifier" ? (node["value"] as string) : undefined;

const callOf = (name: string, args: readonly unknown[]): Node => ({
  type: "CallExpression",
  callee: { type: "Identifier", value: name },
  args,
});

function becomeCall(node: Node, name: string, args: readonly unknown[]): void {
  for (const field of Object.keys(node)) delete node[field];
  Object.assign(node, callOf(name, args));
}

/** `text | trim` */
function replaceFilter(node: Node): void {
  const { operand, filter } = node;
  const isCall = isNode(filter) && filter.type === "CallExpression";
  const name = nameOf(isCall ? filter["callee"] : filter);
  if (name === undefined || !Object.hasOwn(filters, name)) return;
  becomeCall(node, `${PREFIX}|${name}`, [operand, ...(isCall ? (filter["args"] as unknown[]) : [])]);
}

/** `text.strip()` */
function replaceMethod(node: Node): void {
  const { callee, args } = node;
  if (!isNode(callee) || callee.type !== "MemberExpression" || callee["computed"] === true) return;
  const name = nameOf(callee["property"]);
  if (name === undefined || !Object.hasOwn(methods, name)) return;
  becomeCall(node, PREFIX + name, [callee["object"], ...(args as unknown[])]);
}

/** The library knows no characters of a text as items, nothing as none, and has one scope for all rounds. */
function changeLoop(node: Node): void {
  const { iterable } = node;
  if (isNode(iterable) && iterable.type === "SelectExpression") iterable["lhs"] = callOf(ITEMS, [iterable["lhs"]]);
  else node["iterable"] = callOf(ITEMS, [iterable]);
  const body = node["body"] as unknown[];
  const own = targetsOf(node["loopvar"]);
  const names = [...new Set(setIn(body))].filter((name) => !own.includes(name));
  if (names.length === 0) return;
  body.unshift(
    callOf(
      FORGET,
      names.map((value) => ({ type: "StringLiteral", value })),
    ),
  );
}

/** Names that statements set in their own scope. */
function setIn(statements: unknown): string[] {
  if (!Array.isArray(statements)) return [];
  return statements.filter(isNode).flatMap((node) => {
    if (node.type === "If") return [...setIn(node["body"]), ...setIn(node["alternate"])];
    if (node.type === "Macro") return targetsOf(node["name"]);
    return node.type === "Set" ? targetsOf(node["assignee"]) : [];
  });
}

/** The names in what is assigned to. */
function targetsOf(target: unknown): string[] {
  const isTuple = isNode(target) && target.type === "TupleLiteral";
  const names = isTuple ? (target["value"] as unknown[]).map(nameOf) : [nameOf(target)];
  return names.filter((name) => name !== undefined);
}

/** What Python takes for a space: not quite what JavaScript does. */
const SPACES: ReadonlySet<string> = new Set(
  "\t\n\v\f\r\u001C\u001D\u001E\u001F \u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000",
);

const methods: Readonly<Record<string, (text: unknown, characters?: unknown) => string>> = {
  strip: (text, characters) => strip(text, characters, true, true),
  lstrip: (text, characters) => strip(text, characters, true, false),
  rstrip: (text, characters) => strip(text, characters, false, true),
  capitalize: (text) => capitalized(textOf(text)),
  title: (text) => textOf(text).replace(/\p{Cased}+/gu, capitalized),
};

const filters: Readonly<Record<string, (text: unknown, characters?: unknown) => string>> = {
  trim: (text, characters) => strip(text ?? "", characters, true, true),
  capitalize: (text) => capitalized(textOf(text ?? "")),
  title: (text) => textOf(text ?? "").replace(/[^-\s({[<]+/g, capitalized),
};

function strip(value: unknown, characters: unknown, isLeft: boolean, isRight: boolean): string {
  const text = textOf(value);
  const stripped = characters === undefined || characters === null ? SPACES : new Set(textOf(characters));
  let begin = 0;
  let end = text.length;
  const first = () => String.fromCodePoint(text.codePointAt(begin) ?? 0);
  const last = () => ((text.codePointAt(end - 2) ?? 0) > 0xff_ff ? text.slice(end - 2, end) : text.charAt(end - 1));
  if (isLeft) while (begin < end && stripped.has(first())) begin += first().length;
  if (isRight) while (begin < end && stripped.has(last())) end -= last().length;
  return text.slice(begin, end);
}

function capitalized(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error(`it takes ${value === null || value === undefined ? "nothing" : "a value"} for a text`);
}
