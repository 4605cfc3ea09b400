/** Texts under JSON Schemas: JSON.parse reads and ajv accepts each of them, however the tokens are chosen and however few are left. */
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { tinyAdapter, tinyModel } from "../../test/tiny_model.ts";
import type { TokenConstraint } from "../generate/constraint.ts";
import { openScheduler } from "../generate/scheduler.ts";
import type { ScheduledRequest } from "../generate/text.ts";
import { constrainTo, jsonGrammar } from "./json_grammar.ts";
import { tokenTrie } from "./token_trie.ts";

const pieces =
  String.raw`{" ": ": " ", ", " "} }, }] [[ ]] [" "], ], true null false 12 -1 0.5 e1 \u \n \" ab name é 日 😀 ":{" "]} a bc 0,`
    .split(" ")
    .concat('": ', ",\n  ", "\n", "  ", " the");
const encoder = new TextEncoder();
/** Every byte, pieces of several, and a token without text, which ends a text. */
const vocabulary = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...pieces.map((p) => encoder.encode(p)),
];
const END = vocabulary.length;
const trie = tokenTrie(END + 1, (id) => vocabulary[id]);
const textOf = (ids: readonly number[]) => Buffer.concat(ids.map((id) => vocabulary[id] ?? Buffer.alloc(0))).toString();

const compiled = (schema: unknown) => constrainTo(jsonGrammar(schema), trie);

/** Writes a text of at most `most` tokens with logits at random. */
function write(constraint: TokenConstraint, seed: number, most: number): { text: string; isWhole: boolean } {
  const text = constraint.begin();
  const ids: number[] = [];
  let state = seed;
  while (ids.length < most && !text.isOver) {
    const logits = Float32Array.from({ length: END + 1 }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 8;
    });
    const allowed = text.masked(logits, { left: most - ids.length, endIds: [END] });
    let id = 0;
    for (let other = 1; other < allowed.length; other++) if ((allowed[other] ?? 0) > (allowed[id] ?? 0)) id = other;
    if (allowed[id] === Number.NEGATIVE_INFINITY) throw new Error(`no token may follow ${textOf(ids)}`);
    if (id === END) return { text: textOf(ids), isWhole: true };
    text.accept(id);
    ids.push(id);
  }
  return { text: textOf(ids), isWhole: text.isOver };
}

const ajv = new Ajv2020({ strict: false, logger: false });

function expectValid(schema: unknown, text: string): void {
  const value: unknown = JSON.parse(text);
  const isValid = ajv.validate(schema as object, value);
  expect(isValid, `${JSON.stringify(schema)}: ${text}: ${JSON.stringify(ajv.errors)}`).toBe(true);
}

const name = fc.constantFrom("name", "a", "ab", "abc", "name ", "é", "", 'q"t', "x1", "type");
const scalar = fc.oneof(
  fc.constantFrom<object | boolean>(
    { type: "boolean" },
    { type: "null" },
    { type: "number" },
    { type: "integer" },
    {},
    true,
  ),
  fc.record({ type: fc.constant("string") }),
  fc
    .tuple(fc.nat({ max: 4 }), fc.nat({ max: 6 }))
    .map(([least, more]) => ({ type: "string", minLength: least, maxLength: least + more })),
  fc.record({
    enum: fc.uniqueArray(fc.constantFrom<unknown>("a", "ab", "", 3, -1.5, null, true, { a: [1] }, "日\n"), {
      minLength: 1,
    }),
  }),
  fc.record({ const: fc.jsonValue({ maxDepth: 1 }) }),
  fc
    .tuple(fc.constantFrom("integer", "number"), fc.integer({ min: -3_000, max: 3_000 }), fc.nat({ max: 5_000 }))
    .map(([type, minimum, more]) => ({ type, minimum, maximum: minimum + more })),
  fc.record({
    type: fc.constantFrom("integer", "number"),
    exclusiveMinimum: fc.double({ min: -20, max: 20, noNaN: true }),
  }),
  fc.record({ type: fc.constant("integer"), maximum: fc.integer({ min: -1_000_000, max: 12 }) }),
  fc.constant({ type: ["string", "null"] }),
);
/** Schemas of every kind that is followed. */
const schemas = fc.letrec<{ schema: object | boolean }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc
      .tuple(
        fc.dictionary(name, tie("schema"), { maxKeys: 4 }),
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.oneof(fc.constantFrom(undefined, false, true), tie("schema")),
      )
      .map(([properties, isRequired, additionalProperties]) => ({
        type: "object",
        properties,
        required: Object.keys(properties).filter((_, i) => isRequired[i]),
        ...(additionalProperties !== undefined && { additionalProperties }),
      })),
    fc
      .tuple(tie("schema"), fc.nat({ max: 3 }), fc.option(fc.nat({ max: 3 }), { nil: undefined }))
      .map(([items, minItems, more]) => ({
        type: "array",
        items,
        minItems,
        ...(more !== undefined && { maxItems: minItems + more }),
      })),
    fc.tuple(scalar, fc.constant({ type: "array", items: { type: "integer" } })).map((anyOf) => ({ anyOf })),
  ),
})).schema;

/** A schema whose texts are too many ways alike is refused; what is left must be followed. */
function compiledIfFollowed(schema: unknown): TokenConstraint | undefined {
  try {
    return compiled(schema);
  } catch (error) {
    if (String(error).includes("alternatives of anyOf begin alike")) return undefined;
    throw error;
  }
}

test("of random schemas every text is JSON and valid, with few tokens and with many", () => {
  let followed = 0;
  fc.assert(
    fc.property(schemas, fc.nat(), fc.nat({ max: 60 }), (schema, seed, more) => {
      const constraint = compiledIfFollowed(schema);
      if (!constraint) return;
      followed++;
      const { text, isWhole } = write(constraint, seed, constraint.leastTokens + more);
      expect(isWhole || /^[-\s\d.eE+]+$/.test(text)).toBe(true); // a number may always go on
      expectValid(schema, text);
    }),
    { numRuns: 300 },
  );
  expect(followed).toBeGreaterThan(270);
});

test("a model of random weights writes valid texts for many schemas side by side, and the same when others go on with them", async () => {
  const { model, config } = tinyModel({ vocabSize: END + 1, eosTokenIds: [END], contextLength: 160 });
  const sample = fc.sample(schemas, { numRuns: 40, seed: 7 }).flatMap((schema) => {
    const constraint = compiledIfFollowed(schema);
    return constraint && constraint.leastTokens <= 80 ? [{ schema, constraint }] : [];
  });
  expect(sample.length).toBeGreaterThan(20);
  const scheduler = openScheduler(model, { maxRunning: 8, kvTokens: 600 });
  const adapter = tinyAdapter(config);
  const answers = await Promise.all(
    sample.map(async ({ schema, constraint }, i) => {
      const request: ScheduledRequest = {
        promptIds: [65 + (i % 20), 66],
        maxNewTokens: 100,
        temperature: 1,
        seed: i,
        constraint,
        ...(i % 2 === 0 && { adapter }),
      };
      const whole = await idsOf(scheduler, request);
      const half = whole.ids.slice(0, Math.floor(whole.ids.length / 2));
      const rest = half.length < whole.ids.length ? await idsOf(scheduler, { ...request, answerIds: half }) : whole;
      return { schema, whole, again: rest === whole ? whole.ids : [...half, ...rest.ids] };
    }),
  );
  await scheduler.close();
  for (const { schema, whole, again } of answers) {
    expectValid(schema, textOf(whole.ids));
    expect(again).toEqual(whole.ids);
  }
});

async function idsOf(scheduler: ReturnType<typeof openScheduler>, request: ScheduledRequest) {
  const ids: number[] = [];
  let reason = "";
  for await (const event of scheduler.submit(request)) {
    if ("id" in event) ids.push(event.id);
    if ("finishReason" in event) reason = event.finishReason;
  }
  return { ids, reason };
}

const tree = {
  $ref: "#/$defs/tree",
  $defs: {
    tree: {
      type: "object",
      properties: { value: { type: "integer" }, children: { type: "array", items: { $ref: "#/$defs/tree" } } },
      required: ["value", "children"],
      additionalProperties: false,
    },
  },
};
const list = { anyOf: [{ type: "null" }, { type: "object", properties: { next: { $ref: "#" } }, required: ["next"] }] };
const pets = {
  oneOf: [
    { type: "object", properties: { kind: { const: "cat" }, lives: { type: "integer" } }, required: ["kind", "lives"] },
    { type: "object", properties: { kind: { const: "dog" }, name: { type: "string" } }, required: ["kind", "name"] },
  ],
};

test.each([
  ["a tree", tree],
  ["a list that ends with null", list],
  ["what a constant tells apart", pets],
  ["objects under any name", { type: "object", additionalProperties: { type: "integer" } }],
  ["any object", { type: "object" }],
  ["a title and nothing else", { title: "x", description: "y" }],
  ["one of all", { allOf: [{ type: "boolean" }] }],
])("%s: texts of all lengths are valid", (_, schema) => {
  const constraint = compiled(schema);
  for (let seed = 0; seed < 30; seed++) {
    const { text } = write(constraint, seed, constraint.leastTokens + seed * 3);
    expectValid(schema, text);
  }
});

test("a text takes its shortest end when tokens run out, and goes on freely before", () => {
  const schema = {
    type: "object",
    properties: { text: { type: "string" } },
    required: ["text"],
    additionalProperties: false,
  };
  const constraint = compiled(schema);
  expect(constraint.leastTokens).toBe('{"text":""}'.length);
  const lengths = Array.from({ length: 20 }, (_, seed) => write(constraint, seed, 60).text.length);
  expect(Math.max(...lengths)).toBeGreaterThan(40);
  expect(write(constraint, 3, constraint.leastTokens).isWhole).toBe(true);
});

test.each<[string, object | boolean, string]>([
  ["a pattern", { type: "string", pattern: "^a" }, "# has pattern, which cannot be followed here for string"],
  ["a format, in a property", { properties: { at: { type: "string", format: "date" } } }, "#/properties/at has format"],
  ["not", { not: { type: "string" } }, "# has not, which cannot be followed here"],
  ["if", { type: "object", if: {}, else: {} }, "# has if, else, which cannot be followed here for object"],
  ["patternProperties", { type: "object", patternProperties: {} }, "# has patternProperties"],
  ["uniqueItems", { type: "array", uniqueItems: true }, "# has uniqueItems"],
  ["prefixItems", { type: "array", prefixItems: [] }, "# has prefixItems"],
  ["multipleOf", { type: "number", multipleOf: 2 }, "# has multipleOf"],
  ["$dynamicRef", { $dynamicRef: "#x" }, "# has $dynamicRef"],
  ["two of allOf", { allOf: [{ type: "string" }, { maxLength: 2 }] }, "#/allOf has several schemas: write them as one"],
  ["anyOf beside others", { type: "string", anyOf: [{ maxLength: 2 }] }, "# has type, anyOf beside each other"],
  [
    "oneOf that may hold together",
    { oneOf: [{ type: "integer" }, { type: "number" }] },
    "#/oneOf has schemas that one value may fit",
  ],
  ["a ref to another file", { $ref: "other.json" }, 'refers to "other.json": only places in the schema itself'],
  ["a ref to nothing", { $ref: "#/$defs/x" }, "refers to #/$defs/x, which is not there"],
  ["a ref that is no pointer", { $ref: "#/%" }, "refers to #/%, which is not there"],
  ["a ref beside others", { $ref: "#/$defs/x", type: "string" }, "# has $ref, type beside each other"],
  ["itself and nothing else", { $ref: "#" }, "it allows no value, or none that holds itself fewer than 8 times"],
  [
    "itself without an end",
    { type: "object", properties: { a: { $ref: "#" } }, required: ["a"] },
    "it allows no value",
  ],
  ["no value", false, "# is false, which no value fits"],
  ["an unknown type", { type: "text" }, '#/type is "text", which JSON Schema lacks'],
  [
    "a required name that is not there",
    { type: "object", properties: {}, required: ["a"] },
    "#/required names a, which properties lacks",
  ],
  [
    "no whole number within bounds",
    { type: "number", minimum: 0.2, maximum: 0.8 },
    "no whole number within its bounds",
  ],
  ["bounds of no number", { type: "integer", minimum: "1" }, "has a minimum that is no number"],
  ["more items than allowed", { type: "array", minItems: 3, maxItems: 2 }, "which no value fits"],
  ["enum that contradicts its type", { type: "string", enum: [1] }, "allows no value"],
  [
    "alternatives that part too late",
    {
      anyOf: [
        { type: "object", properties: { a: {} } },
        { type: "object", properties: { a: { type: "string" } } },
      ],
    },
    "alternatives of anyOf begin alike",
  ],
])("%s is refused", (_, schema, problem) => {
  expect(() => compiled(schema)).toThrow(problem);
});

const nested = (depth: number): object => (depth === 0 ? {} : { type: "array", items: nested(depth - 1) });
const doubled = Object.fromEntries(
  Array.from({ length: 40 }, (_, i) => [
    `d${i}`,
    { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
  ]),
);
const tooLong = "a".repeat(2_000);

test.each<[string, unknown]>([
  ["nested deeply", nested(5_000)],
  ["exponential alternatives", { $ref: "#/$defs/d0", $defs: { ...doubled, d40: { type: "string" } } }],
  ["a long string", { type: "string", maxLength: 10 ** 9 }],
  ["many items", { type: "array", items: { type: "array", maxItems: 10 ** 9 }, maxItems: 10 ** 9 }],
  [
    "a hundred thousand properties",
    { properties: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`p${i}`, {}])) },
  ],
  ["a long name", { properties: { [tooLong]: {} } }],
  ["large alternatives", { anyOf: Array.from({ length: 600 }, (_, i) => ({ type: "string", maxLength: i + 1 })) }],
])("%s: a hostile schema is refused", (_, schema) => {
  expect(() => jsonGrammar(schema)).toThrow("Cannot follow the JSON Schema");
});

test("definitions that are used many times are made once: doubling forty times is small", () => {
  const $defs = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `d${i}`,
      { type: "object", properties: { a: { $ref: `#/$defs/d${i + 1}` }, b: { $ref: `#/$defs/d${i + 1}` } } },
    ]),
  );
  const { texts } = jsonGrammar({ $ref: "#/$defs/d0", $defs: { ...$defs, d40: { type: "null" } } });
  expect(texts.states.length).toBeLessThan(3_000);
});

test("a vocabulary that lacks a sign is refused, and one that lacks characters writes without them", () => {
  const ascii = tokenTrie(128, (id) => (id === 0x7b ? undefined : Uint8Array.of(id)));
  expect(() => constrainTo(jsonGrammar({ type: "object" }), ascii)).toThrow(
    "the tokenizer has no tokens for the signs that it needs",
  );
  const text = constrainTo(jsonGrammar({ type: "string" }), ascii).begin([0x22]);
  const allowed = text.masked(new Float32Array(128), { left: 9, endIds: [] });
  expect(allowed[0x61]).toBe(0);
  expect(allowed[0x7b]).toBe(Number.NEGATIVE_INFINITY);
});

test("a request whose shortest text has too many tokens is refused, and the end waits until the text is whole", async () => {
  const { model } = tinyModel({ vocabSize: END + 1, eosTokenIds: [END] });
  const constraint = compiled({ const: "abc" });
  const scheduler = openScheduler(model);
  const request = { promptIds: [65], maxNewTokens: 4, constraint };
  expect(() => scheduler.submit(request)).toThrow(
    "the shortest text of its constraint may need 5 tokens, it may have 4: allow more",
  );
  const answer = await idsOf(scheduler, { ...request, maxNewTokens: 40, logitBias: { [END]: 100 } });
  await scheduler.close();
  expect([JSON.parse(textOf(answer.ids)), answer.reason]).toEqual(["abc", "stop"]);
});
