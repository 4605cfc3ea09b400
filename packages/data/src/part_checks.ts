/**
 * The parts of a tokenizer.json around its model: what cannot be done exactly as the Rust library does it is refused by name,
 * since wrong token ids train a wrong model silently.
 */

import { splitBehaviors } from "./pipeline/cut_at_matches.ts";
import { knownExpressions } from "./pipeline/known_expressions.ts";
import { normalizers } from "./pipeline/normalize.ts";
import { type Node, preTokenizers } from "./pipeline/pre_tokenize.ts";

/** The longest in use (Llama 3, Qwen 2) has about 120 characters. */
const MAX_REGEX_CHARACTERS = 2_000;
/** Deeper than any real file: tokenizer.json nests sequences, not trees. */
const MAX_DEPTH = 64;

/** Key of the steps of a `Sequence`. */
const lists = { normalizer: "normalizers", pre_tokenizer: "pretokenizers", decoder: "decoders" } as const;
/** The library knows the decoders, and says which ones it does not. */
const known = { normalizer: Object.keys(normalizers), pre_tokenizer: Object.keys(preTokenizers), decoder: undefined };
type PartName = keyof typeof lists;

/** Everything that is wrong with normalizer, pre-tokenizer and decoder, in words. */
export function findPartProblems(json: Readonly<Record<string, unknown>>): string[] {
  const problems: string[] = [];
  for (const name of ["normalizer", "pre_tokenizer", "decoder"] as const)
    checkNode(json[name], name, name, problems, 0);
  return problems;
}

function checkNode(node: unknown, part: PartName, path: string, problems: string[], depth: number): void {
  if (node === null || node === undefined) return;
  if (depth > MAX_DEPTH) problems.push(`${part} is nested more than ${MAX_DEPTH} deep`);
  else if (!isNode(node)) problems.push(`${path} is no object, one with a type is needed`);
  else if (node["type"] === "Sequence") checkSequence(node, part, path, problems, depth);
  else if (known[part]?.includes(node["type"] as string) === false)
    problems.push(`${path} is of the type ${JSON.stringify(node["type"])}, which cannot be done here`);
  else checkFields(node, part, path, problems);
}

function checkSequence(node: Node, part: PartName, path: string, problems: string[], depth: number): void {
  const steps = node[lists[part]];
  if (!Array.isArray(steps)) problems.push(`${path}.${lists[part]} is missing, a list is needed`);
  else
    for (const [i, step] of steps.entries()) {
      if (step === null) problems.push(`${path}.${lists[part]}.${i} is null, a part is needed`);
      checkNode(step, part, `${path}.${lists[part]}.${i}`, problems, depth + 1);
    }
}

/** Fields that the Rust library needs, by type, and what each may be. */
const texts: Readonly<Record<string, readonly string[]>> = {
  Prepend: ["prepend"],
  Metaspace: ["replacement"],
  CharDelimiterSplit: ["delimiter"],
};

function checkFields(node: Node, part: PartName, path: string, problems: string[]): void {
  const { type, behavior, prepend_scheme: scheme, add_prefix_space: hasPrefix, length } = node;
  if (part !== "decoder") {
    for (const name of texts[type as string] ?? []) {
      if (typeof node[name] !== "string" || node[name] === "")
        problems.push(`${path}.${name} is missing, a text is needed`);
    }
  }
  if (type === "Replace" && typeof node["content"] !== "string")
    problems.push(`${path}.content is missing, a text is needed`);
  if (behavior !== undefined && !splitBehaviors.some((name) => name === behavior))
    problems.push(`${path}.behavior is ${JSON.stringify(behavior)}, one of ${splitBehaviors.join(", ")} is needed`);
  if (scheme !== undefined && !["always", "first", "never"].includes(scheme as string))
    problems.push(`${path}.prepend_scheme is ${JSON.stringify(scheme)}, one of always, first, never is needed`);
  if (type === "Metaspace" && hasPrefix === false && scheme !== "never")
    problems.push(`${path}.add_prefix_space is false and prepend_scheme ${String(scheme)}, they contradict each other`);
  if (length !== undefined && !(Number.isInteger(length) && (length as number) > 0 && (length as number) < 2 ** 31))
    problems.push(`${path}.length is ${JSON.stringify(length)}, a whole number above 0 is needed`);
  if (type === "Split" || type === "Replace") checkPattern(node["pattern"], part, path, problems);
}

function checkPattern(pattern: unknown, part: PartName, path: string, problems: string[]): void {
  if (!isNode(pattern) || Object.keys(pattern).length !== 1) {
    problems.push(`${path}.pattern is neither {"String": …} nor {"Regex": …}, one of them is needed`);
    return;
  }
  const { String: text, Regex: regex } = pattern;
  if (typeof text === "string") {
    if (text === "") problems.push(`${path}.pattern.String is empty, a text is needed`);
  } else if (typeof regex !== "string") {
    problems.push(`${path}.pattern is neither {"String": …} nor {"Regex": …}, one of them is needed`);
  } else if (part === "decoder") {
    problems.push(`${path}.pattern.Regex cannot be done here in a decoder, a text is needed`);
  } else problems.push(...findRegexProblems(regex).map((problem) => `${path}.pattern.Regex ${problem}`));
}

/** What means something in Oniguruma, where these expressions come from, that JavaScript cannot express. */
function findRegexProblems(regex: string): string[] {
  if (regex.length > MAX_REGEX_CHARACTERS)
    return [`has ${regex.length} characters, at most ${MAX_REGEX_CHARACTERS} are allowed`];
  if (knownExpressions.has(regex)) return [];
  const problems = new Set<string>();
  let openSets = 0;
  for (const [token] of regex.matchAll(/\\.|&&|[[\]]|\(\?>|[+*?]\+/gs)) {
    if (token === "[") openSets++;
    else if (token === "]") openSets--;
    else if (token === "\\G") problems.add("uses \\G (end of the previous match), which cannot be done here");
    else if (token === "&&" && openSets > 0) problems.add("uses && (set intersection), which cannot be done here");
    else if ((token === "(?>" || token.endsWith("+")) && !token.startsWith("\\") && openSets === 0)
      problems.add(`uses ${token} (no way back), which cannot be done here`);
  }
  return [...problems];
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);
