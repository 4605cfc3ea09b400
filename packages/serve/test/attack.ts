/** Random requests: fields of the right names with wrong values, wrong names, wrong JSON, wrong paths. */
import type { RunningServer } from "@zerogate/serve";
import * as fc from "fast-check";
import { expect } from "vitest";
import { ask } from "./post.ts";

/** A request. */
export interface Hostile {
  readonly path: string;
  readonly method: string;
  readonly body: string;
}

const fields = [
  "model",
  "prompt",
  "messages",
  "max_tokens",
  "temperature",
  "top_p",
  "top_k",
  "n",
  "stop",
  "stop_token_ids",
  "seed",
  "logprobs",
  "echo",
  "stream",
  "stream_options",
  "logit_bias",
  "adapter_scale",
  "timeout",
  "response_format",
  "tools",
  "__proto__",
  "constructor",
  "name",
  "path",
  "tokens",
];
const value = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  fc.constantFrom<unknown>(
    "one",
    "base",
    0,
    1,
    -1,
    1e308,
    2 ** 53,
    "",
    [],
    {},
    null,
    true,
    [[1, 2]],
    ["a"],
    "\u0000",
    "\ud800",
  ),
);
const object = fc
  .array(fc.tuple(fc.constantFrom(...fields), value), { maxLength: 8 })
  .map((entries) => JSON.stringify(Object.fromEntries(entries)));
/** Near to what is right, so that some of it reaches the model. */
const nearly = fc
  .record({
    model: fc.constantFrom("one", "base", "two"),
    prompt: fc.oneof(fc.string({ unit: "binary", maxLength: 40 }), fc.array(fc.nat(1100), { maxLength: 20 })),
    messages: fc.array(fc.record({ role: fc.constantFrom("user", "system", "tool"), content: fc.string() }), {
      maxLength: 3,
    }),
    max_tokens: fc.integer({ min: -1, max: 6 }),
    temperature: fc.double({ min: -0.1, max: 3, noNaN: true }),
    stream: fc.boolean(),
    logprobs: fc.oneof(fc.boolean(), fc.integer({ min: -1, max: 22 })),
    stop: fc.oneof(fc.string({ maxLength: 3 }), fc.array(fc.string({ maxLength: 3 }), { maxLength: 3 })),
    n: fc.integer({ min: 0, max: 3 }),
  })
  .map((body) => JSON.stringify(body));
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  object.map((json) => json.slice(0, -3)),
);
const deep = fc.integer({ min: 1, max: 9000 }).map((depth) => "[".repeat(depth));

const paths = [
  "/v1/completions",
  "/v1/chat/completions",
  "/tokenize",
  "/detokenize",
  "/v1/adapters",
  "/v1/load_lora_adapter",
];

/** Requests that should do no harm. */
export const hostileBodies: fc.Arbitrary<Hostile> = fc.record({
  path: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...paths) },
    fc.webPath().map((path) => `/${path}`),
  ),
  method: fc.oneof({ weight: 9, arbitrary: fc.constant("POST") }, fc.constantFrom("PUT", "DELETE", "PATCH")),
  body: fc.oneof({ weight: 3, arbitrary: nearly }, { weight: 3, arbitrary: object }, text, deep),
});

/** Sends one, and expects an answer or a refusal in the API's form. */
export async function attack(server: Pick<RunningServer, "url">, { path, method, body }: Hostile): Promise<void> {
  const headers = { "content-type": "application/json" };
  const { status, json, text: said } = await ask(server, encodeURI(path), { method, headers, body });
  const shown = `${method} ${path} ${body.slice(0, 300)}: ${status} ${said.slice(0, 300)}`;
  expect([200, 400, 403, 404, 405, 413, 429], shown).toContain(status);
  if (status === 200) return;
  expect(Object.keys(json.error), shown).toEqual(["message", "type", "param", "code"]);
  expect(json.error.message, shown).toMatch(/^Cannot /);
}
