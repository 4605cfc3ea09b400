import { describe, expect, test } from "vitest";
import { completeTokenizer, countPieces, countVocabulary, findTokenizerProblems } from "./tokenizer_checks.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

const bpe = { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: [["a", "b"]] };
const file = (model: object = {}, more: object = {}) => ({ added_tokens: [], ...more, model: { ...bpe, ...model } });
const problems = (model: object = {}, more: object = {}) => findTokenizerProblems(file(model, more));

test("a file of a sound model and nothing else has no problems", () => {
  expect(problems()).toEqual([]);
});

describe("what is absent", () => {
  test("is null for parts and empty for added tokens; what is there stays", () => {
    const complete = completeTokenizer({ version: "1.0", model: bpe, decoder: { type: "Fuse" } });
    expect(complete).toEqual({
      version: "1.0",
      model: bpe,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: "Fuse" },
    });
    expect(completeTokenizer({ model: 3, added_tokens: [1] })).toMatchObject({ model: 3, added_tokens: [1] });
  });

  test("is the model's type if its keys show it", () => {
    const type = (model: object) => (completeTokenizer({ model })["model"] as { type: unknown }).type;
    const keys = { max_input_chars_per_word: 100, continuing_subword_prefix: "##" };
    expect(type({ type: "Magic", vocab: [] })).toBe("Magic");
    expect(type({ vocab: [["a", 0]], merges: [] })).toBe("Unigram");
    expect(type({ vocab: {}, merges: [], ...keys })).toBe("BPE");
    expect(type({ vocab: {}, ...keys })).toBe("WordPiece");
    expect(type({ vocab: {}, max_input_chars_per_word: 100 })).toBeUndefined();
    expect(type({ vocab: {}, continuing_subword_prefix: "##" })).toBeUndefined();
  });
});

describe("vocabularies", () => {
  test("of ids are not empty, and each piece has an id of its own below 1,048,576", () => {
    const vocab = (ids: object) => problems({ vocab: ids, merges: [] });
    expect(vocab({ a: 0, b: 1_048_575 })).toEqual([]);
    expect(vocab({})).toEqual(["model.vocab is empty, at least one piece is needed"]);
    for (const id of [1_048_576, -1, 0.5, "0", null])
      expect(vocab({ a: 0, b: id })).toEqual([
        `model.vocab gives "b" the id ${String(id)}, an integer below 1048576 is needed`,
      ]);
    expect(vocab({ a: 0, b: 0 })).toEqual([
      "model.vocab gives one id to two pieces, an id of its own for each is needed",
    ]);
  });

  test("of scores are lists of texts with finite numbers", () => {
    const unigram = (vocab: unknown) => problems({ type: "Unigram", vocab, merges: undefined });
    expect(unigram([["a", 0]])).toEqual([]);
    expect(unigram(Array.from({ length: 1_048_576 }, (_, i) => [`${i}`, 0]))).toEqual([]);
    const bad = ["model.vocab is not a list of 1 to 1048576 pieces, [text, score] each is needed"];
    for (const vocab of [[], [["a", 0], ["b"]], [[1, 0]], ["a"], [["a", Number.NaN]], [["a", "0"]]])
      expect(unigram(vocab)).toEqual(bad);
    expect(unigram(Array.from({ length: 1_048_577 }, (_, i) => [`${i}`, 0]))).toEqual(bad);
  });

  test("are counted by their largest id, with and without added tokens", () => {
    const counts = (json: object) => [countPieces(json as TokenizerJson), countVocabulary(json as TokenizerJson)];
    expect(counts(file({ vocab: { a: 4, b: 2 } }, { added_tokens: [{ id: 3, content: "c" }] }))).toEqual([5, 5]);
    expect(counts(file({ vocab: { a: 4 } }, { added_tokens: [{ id: 7, content: "c" }] }))).toEqual([5, 8]);
    expect(
      counts(
        file({
          vocab: [
            ["a", 0],
            ["b", 0],
          ],
        }),
      ),
    ).toEqual([2, 2]);
  });
});

describe("models", () => {
  test("have the kind of vocabulary of their type", () => {
    expect(problems({ type: "Unigram" })).toEqual(["model.vocab is an object, which a model of type Unigram has not"]);
    expect(problems({ vocab: [["a", 0]] })).toContain("model.vocab is a list, which a model of type BPE has not");
  });

  test("of Unigram name an existing unknown piece, or none, and do not fall back to bytes", () => {
    const unigram = (more: object) =>
      problems({
        type: "Unigram",
        vocab: [
          ["a", 0],
          ["b", 0],
        ],
        merges: undefined,
        ...more,
      });
    for (const unk_id of [0, 1, null, undefined]) expect(unigram({ unk_id })).toEqual([]);
    for (const unk_id of [2, -1, 0.5, "0"])
      expect(unigram({ unk_id })).toEqual([
        `model.unk_id is ${JSON.stringify(unk_id)}, the number of a piece of model.vocab is needed`,
      ]);
    expect(unigram({ byte_fallback: true })).toEqual(["model.byte_fallback of a Unigram model cannot be done here"]);
    expect(unigram({ byte_fallback: false })).toEqual([]);
  });

  test("of WordPiece name an unknown token", () => {
    expect(problems({ type: "WordPiece", unk_token: "a", merges: undefined })).toEqual([]);
    expect(problems({ type: "WordPiece", merges: undefined })).toEqual([
      "model.unk_token is missing, a text is needed",
    ]);
  });

  test("of BPE leave nothing to chance, have no prefix inside of words, and an end of words with an unknown token only", () => {
    for (const fine of [
      { dropout: 0 },
      { dropout: null },
      { continuing_subword_prefix: "" },
      { end_of_word_suffix: "" },
      { end_of_word_suffix: "</w>", unk_token: "a" },
      { byte_fallback: true },
    ])
      expect(problems(fine)).toEqual([]);
    expect(problems({ dropout: 0.1 })).toEqual(["model.dropout is 0.1, which makes ids a matter of chance"]);
    expect(problems({ continuing_subword_prefix: "##" })).toEqual([
      'model.continuing_subword_prefix is "##", which cannot be done here for BPE',
    ]);
    expect(problems({ end_of_word_suffix: "</w>" })).toEqual([
      "model.end_of_word_suffix without an unk_token cannot be done here",
    ]);
  });

  test("of BPE have a list of merges of existing pieces, in either spelling", () => {
    for (const merges of [[], ["a b"], [["a", "b"]]]) expect(problems({ merges })).toEqual([]);
    const bad = ['model.merges is not a list of pairs, ["a", "b"] or "a b" each is needed'];
    for (const merges of [undefined, {}, ["ab"], [["a"]], [["a", "b", "c"]], [["a", 1]], [3], ["a b", "ab"]])
      expect(problems({ merges })).toEqual(bad);
    expect(problems({ merges: [["a", "z"]] })).toEqual(['model.merges holds ["a","z"], and model.vocab lacks "z"']);
    expect(problems({ merges: [["b", "a"]] })).toEqual(['model.merges holds ["b","a"], and model.vocab lacks "ba"']);
    expect(problems({ merges: ["a b a"] })).toEqual(['model.merges holds "a b a", and model.vocab lacks "aba"']);
    const vocab = { a: 0, b: 1, ab: 2, aba: 3 };
    expect(problems({ merges: ["a b a"], vocab })).toEqual([
      'model.merges holds "a b a", and model.vocab lacks "a b a"',
    ]);
    expect(problems({ merges: ["a toString"] })).toHaveLength(1); // no name that every object has is a piece
    expect(problems({ type: "WordPiece", unk_token: "a", merges: [["x", "y"]] })).toEqual([]);
  });

  test("that are none are said at once", () => {
    expect(findTokenizerProblems(null)).toEqual(["tokenizer.json is not an object, one with a model is needed"]);
    expect(findTokenizerProblems({})).toEqual(["tokenizer.json has no model, an object with type and vocab is needed"]);
    expect(problems({ type: undefined })).toEqual(["model.type is missing, one of BPE, Unigram, WordPiece is needed"]);
    expect(problems({ vocab: null })).toEqual([
      "model.vocab is missing, an object of ids or an array of pieces is needed",
    ]);
  });
});

describe("added tokens", () => {
  const added = (...tokens: unknown[]) => problems({}, { added_tokens: tokens });

  test("have an id and a text", () => {
    const bad = ["added_tokens holds a bad entry, {id, content} with an id below 1048576 is needed"];
    for (const token of [
      null,
      3,
      { id: 3 },
      { id: 3, content: "" },
      { id: 3, content: 4 },
      { content: "c" },
      { id: -1, content: "c" },
    ])
      expect(added(token)).toEqual(bad);
    expect(problems({}, { added_tokens: {} })).toEqual(["added_tokens is missing, an array is needed"]);
  });

  test("have the ids of their pieces, and behind the vocabulary one after another", () => {
    const token = (id: number, content: string) => ({ id, content });
    expect(added(token(0, "a"), token(3, "c"), token(4, "d"))).toEqual([]);
    expect(added(token(3, "c"), token(1, "b"), token(4, "d"), token(3, "c"))).toEqual([]);
    const says = (content: string, id: number, place: number) => [
      `added_tokens gives "${content}" the id ${id}, its place gives it ${place}: both must agree`,
    ];
    expect(added(token(1, "a"))).toEqual(says("a", 1, 0));
    expect(added(token(4, "c"))).toEqual(says("c", 4, 3));
    expect(added(token(3, "c"), token(5, "d"))).toEqual(says("d", 5, 4));
    expect(added(token(3, "c"), token(3, "d"))).toEqual(says("d", 3, 4));
    const one = { vocab: { a: 0 }, merges: [] };
    expect(problems(one, { added_tokens: [token(1, "c"), token(2, "d")] })).toEqual([]);
    const gap = { vocab: { a: 0, b: 1, ab: 9 } };
    expect(problems(gap, { added_tokens: [token(3, "c")] })).toEqual([]); // as many as there are pieces, as in Rust
    expect(problems(gap, { added_tokens: [token(9, "ab"), token(10, "c")] })).toEqual([]);
    const list = {
      type: "Unigram",
      vocab: [
        ["a", 0],
        ["b", 0],
      ],
      merges: undefined,
    };
    expect(problems(list, { added_tokens: [token(1, "b"), token(2, "c")] })).toEqual([]);
    expect(problems(list, { added_tokens: [token(0, "b")] })).toEqual(says("b", 0, 1));
  });
});

describe("post-processors", () => {
  const added_tokens = [{ id: 3, content: "<s>" }];
  const text = { Sequence: { id: "A", type_id: 0 } };
  const around = (id: unknown) => ({ SpecialToken: { id, type_id: 0 } });
  const template = (single: unknown, special_tokens: unknown = { "<s>": { ids: [3] }, a: { ids: [0] } }) =>
    problems({}, { added_tokens, post_processor: { type: "TemplateProcessing", single, special_tokens } });
  const noText = ['post_processor.single has no place for the text, {"Sequence": {"id": "A"}} is needed'];
  const holds = (item: unknown) => [
    `post_processor.single holds ${JSON.stringify(item)}, a token with the id of the vocabulary is needed`,
  ];

  test("of templates have a place for the text, among added tokens and pieces", () => {
    expect(template([text])).toEqual([]);
    expect(template([around("<s>"), text, around("a")])).toEqual([]);
    for (const single of [undefined, [], "A", [around("<s>")], [{ Sequence: { id: "B" } }], [null]])
      expect(template(single)).toEqual(noText);
  });

  test("of templates describe each token by the one id that the vocabulary has for it", () => {
    for (const id of ["b", "zz", 3, undefined]) expect(template([around(id), text])).toEqual(holds(around(id)));
    for (const item of [null, "<s>", { Sequense: {} }, { SpecialToken: 3 }, { Sequence: { id: "B" } }])
      expect(template([text, item])).toEqual(holds(item));
    for (const ids of [[4], [3, 3], [], undefined, 3])
      expect(template([around("<s>"), text], { "<s>": { ids } })).toEqual(holds(around("<s>")));
    for (const tokens of [null, 3, {}, { "<s>": 3 }]) expect(template([around("<s>"), text], tokens)).toHaveLength(1);
    expect(template([around("zz"), text], { zz: { ids: [undefined] } })).toHaveLength(1);
  });

  test("of BERT and RoBERTa name both tokens with the ids of the vocabulary", () => {
    for (const type of ["BertProcessing", "RobertaProcessing"]) {
      const of = (cls: unknown, sep: unknown) => problems({}, { added_tokens, post_processor: { type, cls, sep } });
      expect(of(["<s>", 3], ["a", 0])).toEqual([]);
      for (const pair of [["<s>", 2], ["zz", 3], ["<s>"], ["zz", undefined], "<s>", ["<s>", 3, 3], [3, 3]]) {
        const says = `post_processor names ${JSON.stringify(pair)}, [token, id] as in the vocabulary is needed`;
        expect(of(pair, ["a", 0])).toEqual([says]);
        expect(of(["a", 0], pair)).toEqual([says]);
      }
    }
  });

  test("of pieces in a list have the numbers of their places", () => {
    const list = {
      type: "Unigram",
      vocab: [
        ["a", 0],
        ["b", 0],
      ],
      merges: undefined,
    };
    const post_processor = (id: number) => ({ type: "BertProcessing", cls: ["b", id], sep: ["a", 0] });
    expect(problems(list, { post_processor: post_processor(1) })).toEqual([]);
    expect(problems(list, { post_processor: post_processor(0) })).toHaveLength(1);
    const absent = { type: "BertProcessing", cls: ["zz", -1], sep: ["a", 0] };
    expect(problems(list, { post_processor: absent })).toHaveLength(1);
    expect(problems({}, { post_processor: { ...absent, cls: ["toString", 0] } })).toHaveLength(1);
  });

  test("in sequences are checked one by one", () => {
    const bad = { type: "TemplateProcessing", single: [] };
    const sequence = (...processors: unknown[]) => ({ type: "Sequence", processors });
    const of = (post_processor: unknown) => problems({}, { post_processor });
    expect(of(sequence({ type: "ByteLevel" }, sequence(bad), bad))).toEqual([...noText, ...noText]);
    for (const fine of [null, 3, { type: "ByteLevel" }, sequence()]) expect(of(fine)).toEqual([]);
  });
});
