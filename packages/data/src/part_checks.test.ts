import { expect, test } from "vitest";
import { findPartProblems } from "./part_checks.ts";

const problems = (part: "normalizer" | "pre_tokenizer" | "decoder", node: unknown) =>
  findPartProblems({ [part]: node });
const split = (Regex: unknown, more: object = {}) => ({ type: "Split", pattern: { Regex }, ...more });
const ofRegex = (Regex: string) =>
  problems("pre_tokenizer", split(Regex)).map((problem) => problem.replace("pre_tokenizer.pattern.Regex ", ""));

test("parts that are absent or null are no problem, those that are no objects are", () => {
  expect(findPartProblems({})).toEqual([]);
  expect(findPartProblems({ normalizer: null, pre_tokenizer: null, decoder: null })).toEqual([]);
  expect(findPartProblems({ normalizer: 3, pre_tokenizer: [], decoder: "ByteLevel" })).toEqual([
    "normalizer is no object, one with a type is needed",
    "pre_tokenizer is no object, one with a type is needed",
    "decoder is no object, one with a type is needed",
  ]);
});

test("every type that is done here is taken, each where it belongs; of decoders the library knows the types", () => {
  const names = {
    normalizer: ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "BertNormalizer"],
    pre_tokenizer: [
      "Whitespace",
      "WhitespaceSplit",
      "BertPreTokenizer",
      "Punctuation",
      "Digits",
      "FixedLength",
      "ByteLevel",
    ],
    decoder: ["ByteLevel", "Fuse", "Anything"],
  } as const;
  for (const part of ["normalizer", "pre_tokenizer", "decoder"] as const)
    for (const type of names[part]) expect(problems(part, { type })).toEqual([]);
  expect(problems("normalizer", { type: "ByteLevel" })).toEqual([
    'normalizer is of the type "ByteLevel", which cannot be done here',
  ]);
  expect(problems("pre_tokenizer", { type: "NFC" })).toHaveLength(1);
  expect(problems("pre_tokenizer", {})).toEqual(["pre_tokenizer is of the type undefined, which cannot be done here"]);
});

test("steps of a sequence are checked one by one, sequences in sequences too, with their places", () => {
  const sequence = (...pretokenizers: unknown[]) => ({ type: "Sequence", pretokenizers });
  expect(problems("pre_tokenizer", sequence({ type: "Digits" }, sequence({ type: "A" }), { type: "B" }))).toEqual([
    'pre_tokenizer.pretokenizers.1.pretokenizers.0 is of the type "A", which cannot be done here',
    'pre_tokenizer.pretokenizers.2 is of the type "B", which cannot be done here',
  ]);
  expect(problems("pre_tokenizer", sequence(null))).toEqual([
    "pre_tokenizer.pretokenizers.0 is null, a part is needed",
  ]);
  expect(problems("normalizer", { type: "Sequence", pretokenizers: [] })).toEqual([
    "normalizer.normalizers is missing, a list is needed",
  ]);
  expect(problems("decoder", { type: "Sequence", decoders: 3 })).toEqual([
    "decoder.decoders is missing, a list is needed",
  ]);
  expect(problems("decoder", { type: "Sequence", decoders: [{ type: "Fuse" }] })).toEqual([]);
});

test("64 sequences in each other are taken, one more is not", () => {
  const nested = (depth: number) => {
    let node: object = { type: "NFC" };
    for (let i = 0; i < depth; i++) node = { type: "Sequence", normalizers: [node] };
    return problems("normalizer", node);
  };
  expect(nested(64)).toEqual([]);
  expect(nested(65)).toEqual(["normalizer is nested more than 64 deep"]);
});

test("texts that a part cannot do without are named if they are missing, empty or something else", () => {
  for (const [part, type, name] of [
    ["normalizer", "Prepend", "prepend"],
    ["pre_tokenizer", "Metaspace", "replacement"],
    ["pre_tokenizer", "CharDelimiterSplit", "delimiter"],
  ] as const) {
    for (const value of [undefined, "", 3])
      expect(problems(part, { type, [name]: value })).toEqual([`${part}.${name} is missing, a text is needed`]);
    expect(problems(part, { type, [name]: "▁" })).toEqual([]);
  }
  expect(problems("decoder", { type: "Metaspace" })).toEqual([]); // the library has its own default there
  const pattern = { String: "a" };
  expect(problems("normalizer", { type: "Replace", pattern })).toEqual([
    "normalizer.content is missing, a text is needed",
  ]);
  expect(problems("normalizer", { type: "Replace", pattern, content: "" })).toEqual([]);
});

test("behaviours, schemes and lengths are those that are known", () => {
  for (const behavior of ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"])
    expect(problems("pre_tokenizer", { type: "Punctuation", behavior })).toEqual([]);
  expect(problems("pre_tokenizer", { type: "Punctuation", behavior: "isolated" })).toEqual([
    'pre_tokenizer.behavior is "isolated", one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous is needed',
  ]);
  const meta = { type: "Metaspace", replacement: "▁" };
  for (const prepend_scheme of ["always", "first", "never"])
    expect(problems("pre_tokenizer", { ...meta, prepend_scheme })).toEqual([]);
  expect(problems("pre_tokenizer", { ...meta, prepend_scheme: "last" })).toEqual([
    'pre_tokenizer.prepend_scheme is "last", one of always, first, never is needed',
  ]);
  const length = (value: unknown) => problems("pre_tokenizer", { type: "FixedLength", length: value });
  expect([1, 5, 2 ** 31 - 1].flatMap(length)).toEqual([]);
  for (const value of [0, -1, 1.5, "5", 2 ** 31, null])
    expect(length(value)).toEqual([
      `pre_tokenizer.length is ${JSON.stringify(value)}, a whole number above 0 is needed`,
    ]);
});

test("a Metaspace without a space in front contradicts every scheme but never", () => {
  const meta = (more: object) => problems("pre_tokenizer", { type: "Metaspace", replacement: "▁", ...more });
  const contradiction = (scheme: string) => [
    `pre_tokenizer.add_prefix_space is false and prepend_scheme ${scheme}, they contradict each other`,
  ];
  expect(meta({ add_prefix_space: false })).toEqual(contradiction("undefined"));
  expect(meta({ add_prefix_space: false, prepend_scheme: "always" })).toEqual(contradiction("always"));
  expect(meta({ add_prefix_space: false, prepend_scheme: "never" })).toEqual([]);
  expect(meta({ add_prefix_space: true, prepend_scheme: "first" })).toEqual([]);
  expect(problems("pre_tokenizer", { type: "ByteLevel", add_prefix_space: false })).toEqual([]);
});

test("a pattern is a text or a regular expression, and in a decoder a text", () => {
  const pattern = (value: unknown, part: "pre_tokenizer" | "decoder" = "pre_tokenizer") =>
    problems(part, { type: part === "decoder" ? "Replace" : "Split", content: "", pattern: value });
  const neither = 'pre_tokenizer.pattern is neither {"String": …} nor {"Regex": …}, one of them is needed';
  for (const value of [
    undefined,
    null,
    "a",
    [],
    {},
    { String: 3 },
    { Regex: 3 },
    { Regx: "a" },
    { String: "a", Regex: "a" },
  ])
    expect(pattern(value)).toEqual([neither]);
  expect(pattern({ String: "" })).toEqual(["pre_tokenizer.pattern.String is empty, a text is needed"]);
  expect([pattern({ String: "a" }), pattern({ Regex: "a" }), pattern({ String: "a" }, "decoder")]).toEqual([
    [],
    [],
    [],
  ]);
  expect(pattern({ Regex: "a" }, "decoder")).toEqual([
    "decoder.pattern.Regex cannot be done here in a decoder, a text is needed",
  ]);
  expect(problems("normalizer", { type: "Replace", content: "", pattern: { Regex: "(?>a)" } })).toHaveLength(1);
});

test("regular expressions of two thousand characters are taken, of one more they are not", () => {
  expect(ofRegex("a".repeat(2000))).toEqual([]);
  expect(ofRegex("a".repeat(2001))).toEqual(["has 2001 characters, at most 2000 are allowed"]);
});

test("reports each part that JavaScript cannot express once, outside and inside of sets", () => {
  const noWayBack = (token: string) => [`uses ${token} (no way back), which cannot be done here`];
  for (const token of ["++", "*+", "?+"]) {
    expect(ofRegex(`a${token}b`)).toEqual(noWayBack(token));
    expect(ofRegex(`[a${token}]b`)).toEqual([]);
    expect(ofRegex(`a\\${token}b${token}`)).toEqual(noWayBack(token));
  }
  expect(ofRegex(String.raw`a\+b+\*+`)).toEqual([]); // a plus sign, and one of many stars
  expect(ofRegex("(?>a)")).toEqual(noWayBack("(?>"));
  expect(ofRegex("[(?>a]")).toEqual([]);
  expect(ofRegex("[a&&b]")).toEqual(["uses && (set intersection), which cannot be done here"]);
  expect(ofRegex("[a[b]&&c]&&[d]")).toEqual(["uses && (set intersection), which cannot be done here"]);
  expect(ofRegex("[a]&&b")).toEqual([]);
  expect(ofRegex(String.raw`\[a&&b`)).toEqual([]);
  expect(ofRegex(String.raw`\Ga\G`)).toEqual(["uses \\G (end of the previous match), which cannot be done here"]);
  expect(ofRegex(String.raw`\\G`)).toEqual([]);
  expect(ofRegex("\\\n&&")).toEqual([]);
});

test("an expression of a widely used tokenizer is taken although it allows no way back", () => {
  const cl100k = String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`;
  expect(ofRegex(cl100k)).toEqual([]);
  expect(ofRegex(`${cl100k}|x`)).toHaveLength(2);
});
