/**
 * Patterns of a tokenizer.json: texts, and regular expressions of a stranger, which can be written to run for years on a short
 * text. So each search of one is stopped by a clock (Node's own, of `vm`, which ends it wherever this thread is) once all of them
 * together took thousands of times what real ones take. Expressions that are known to be sound run without, and faster.
 */
import { createContext, Script } from "node:vm";
import { InputError } from "@zerogate/core";
import { knownExpressions } from "./known_expressions.ts";
import { SplitPreTokenizer } from "./library.ts";

/** Begin and end of every match, ascending. */
export type Matcher = (text: string) => readonly (readonly [begin: number, end: number])[];

/** A `pattern` of tokenizer.json that has been checked. */
export type Pattern = { readonly String: string } | { readonly Regex: string };

/** What searches may take together: far more than a real expression needs, also on a busy machine. */
const FREE_MS = 2_000;
const MS_PER_SEARCH = 1;
const MS_PER_CHARACTER = 0.005;

/** Throws a `SyntaxError` for an expression that JavaScript cannot do. */
export function createMatcher(pattern: Pattern): Matcher {
  if ("String" in pattern) return (text) => textMatches(text, pattern.String);
  const expression = compile(pattern.Regex);
  const search: Matcher = (text) => expressionMatches(text, expression);
  return knownExpressions.has(pattern.Regex) ? search : withClock(search, pattern.Regex);
}

function textMatches(text: string, part: string): [number, number][] {
  const matches: [number, number][] = [];
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length))
    matches.push([at, at + part.length]);
  return matches;
}

/** The library translates Oniguruma's syntax; without case, "ſ" is an s and the Kelvin sign a k too. */
function compile(regex: string): RegExp {
  const { source } = new SplitPreTokenizer({ pattern: { Regex: regex } }).pattern;
  const folded = /\(\?i:/.test(regex) ? source.replaceAll("[sS]", "[sSſ]").replaceAll("[kK]", "[kK\u212a]") : source;
  return new RegExp(folded, "gu");
}

/** Matches as Oniguruma's Rust crate lists them: none that is empty directly behind another one. */
function expressionMatches(text: string, expression: RegExp): [number, number][] {
  const matches: [number, number][] = [];
  for (const { 0: match, index: begin } of text.matchAll(expression)) {
    const end = begin + match.length;
    if (end !== matches.at(-1)?.[1]) matches.push([begin, end]); // only an empty one can end where the last one does
  }
  return matches;
}

/** Throws an `InputError` if the clock or the expression's memory runs out. */
function withClock(search: Matcher, regex: string): Matcher {
  const script = new Script("search(text)");
  const context = createContext({ search, text: "" });
  let leftMs = FREE_MS;
  return (text) => {
    leftMs += MS_PER_SEARCH + MS_PER_CHARACTER * text.length;
    context["text"] = text;
    const begin = performance.now();
    try {
      return script.runInContext(context, {
        timeout: Math.max(1, Math.ceil(leftMs)),
      }) as ReturnType<Matcher>;
    } catch (cause) {
      const shown = regex.length > 100 ? `${regex.slice(0, 100)}…` : regex;
      const what = `the regular expression ${JSON.stringify(shown)} of tokenizer.json`;
      const found = isTimeout(cause) ? "takes too long" : `fails (${(cause as Error).message})`;
      throw new InputError("Cannot tokenise a text", `${what} ${found} on a text of ${text.length} characters`, {
        cause,
      });
    } finally {
      leftMs -= performance.now() - begin;
    }
  };
}

/** Node makes this error in the context of the script, where it is no instance of our `Error`. */
function isTimeout(error: unknown): boolean {
  return (
    typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
  );
}
