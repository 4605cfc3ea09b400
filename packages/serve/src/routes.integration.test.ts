/** Routes beside completions: models, tokens, health, numbers, and what the API says of itself. */
import { expect, test } from "vitest";
import { openAlone } from "../test/alone.ts";
import { ask, post } from "../test/post.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();
const server = await servers.start();
const { tokenizer, model } = await openAlone(servers.place);
const { contextLength } = model.base.config;
const text = "Ein Haus, 家 und ein 🐌";

test("models: the base without a parent, each adapter with its base and the hash of its numbers [S-models]", async () => {
  const { data } = (await ask(server, "/v1/models")).json;
  expect(data[0]).toMatchObject({
    id: "base",
    object: "model",
    parent: null,
    root: "base",
    max_model_len: contextLength,
  });
  expect(data[1]).toMatchObject({
    id: "one",
    parent: "base",
    root: "one",
    sha256: expect.stringMatching(/^[\da-f]{64}$/),
  });
  expect(data[1].sha256).not.toBe(data[2].sha256);
  expect((await ask(server, "/v1/models/two")).json).toEqual(data[2]);
  expect((await ask(server, "/v1/models/three")).json.error.code).toBe("model_not_found");
});

test("tokenize and detokenize are the tokenizer's, with and without what goes in front [S-tokenize, S-detokenize]", async () => {
  const { json } = await post(server, "/tokenize", { prompt: text });
  expect(json).toEqual({ tokens: tokenizer.encode(text), count: json.tokens.length, max_model_len: contextLength });
  const plain = await post(server, "/tokenize", { prompt: text, add_special_tokens: false });
  expect(plain.json.tokens).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
  expect((await post(server, "/detokenize", { tokens: plain.json.tokens })).json).toEqual({ prompt: text });
  expect((await post(server, "/detokenize", { tokens: [999_999] })).json.error.param).toBe("tokens");
  expect((await post(server, "/tokenize", { prompt: text, model: "three" })).status).toBe(404);
});

test("tokenizer_info names special tokens as a tokenizer of Python does [S-tokenizer_info]", async () => {
  const { json } = await ask(server, "/tokenizer_info");
  expect(json).toMatchObject({ bos_token: "<s>", eos_token: "</s>", pad_token: "</s>" });
  expect(json.chat_template).toContain("add_generation_prompt");
});

test("add_special_tokens: false puts nothing in front of a prompt [S-add_special_tokens]", async () => {
  const count = async (more: object) =>
    (await post(server, "/v1/completions", { model: "base", prompt: "a b", max_tokens: 1, ...more })).json.usage
      .prompt_tokens;
  const front = tokenizer.frontIds().length;
  expect(await count({ add_special_tokens: false })).toBe((await count({})) - front);
  expect(front).toBe(1);
});

test("version says which engine answers and whether bits depend on the batch [S-version]", async () => {
  const { json } = await ask(server, "/version");
  expect(json).toMatchObject({ version: "0.2.0", engine: expect.stringContaining("reference"), batchInvariant: true });
});

test("health counts workers and texts [S-health]", async () => {
  const reply = await ask(server, "/health");
  expect(reply).toMatchObject({ status: 200, json: { status: "ok", workers: 1, ready: 1, running: 0, waiting: 0 } });
});

test("metrics count requests, tokens and times, by models that there are [S-metrics]", async () => {
  const body = { prompt: "Once upon", max_tokens: 5, temperature: 0, ignore_eos: true };
  await post(server, "/v1/completions", { ...body, model: "two" });
  await post(server, "/v1/completions", { ...body, model: 'made up"\n' });
  const { text: shown, headers } = await ask(server, "/metrics");
  expect(headers.get("content-type")).toContain("version=0.0.4");
  expect(shown).toContain('zerogate_requests_total{model="two",code="200"} 1\n');
  expect(shown).toContain('zerogate_requests_total{model="",code="404"}');
  expect(shown).not.toContain("made up");
  const numberOf = (name: string) => Number(new RegExp(`^${name} ([\\d.e-]+)$`, "m").exec(shown)?.[1]);
  expect(numberOf('zerogate_tokens_total{kind="generated"}')).toBeGreaterThanOrEqual(5);
  expect(numberOf("zerogate_time_to_first_token_seconds_count")).toBeGreaterThanOrEqual(1);
  expect(numberOf("zerogate_time_per_token_seconds_count")).toBeGreaterThanOrEqual(4);
  expect(shown).toMatch(/zerogate_adapter_info\{name="one",sha256="[\da-f]{64}"\} 1\n/);
  for (const line of shown.trimEnd().split("\n"))
    expect(line).toMatch(/^# (HELP|TYPE) \w+ .+$|^\w+(\{[^{}]*\})? [\d.e+-]+$/);
});

test("openapi.json has each route with the fields that it takes [S-openapi]", async () => {
  const { json } = await ask(server, "/openapi.json");
  expect(json.openapi).toBe("3.1.0");
  expect(Object.keys(json.paths)).toContain("/v1/adapters/{name}");
  const { schema } = json.paths["/v1/completions"].post.requestBody.content["application/json"];
  expect(schema.required.toSorted()).toEqual(["model", "prompt"]);
  expect(schema.properties.temperature).toMatchObject({ type: "number", minimum: 0, default: 1 });
});
