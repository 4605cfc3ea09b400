/** The openai client against a server: answers are those of the library, errors have their classes. */
import OpenAI, { APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { expect, test } from "vitest";
import { continued, openAlone } from "../test/alone.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();
const server = await servers.start();
const alone = await openAlone(servers.place);
const { tokenizer } = alone;
const clientOf = (url: string, apiKey = "none") => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const client = clientOf(server.url);
const prompt = "Once upon a time there was";
const promptIds = tokenizer.encode(prompt);

/** The text that tokens add to the prompt. */
const textOf = (ids: readonly number[]) =>
  tokenizer.decode([...promptIds, ...ids]).slice(tokenizer.decode(promptIds).length);

test("models are the base and its adapters, with their parent and hash [S-openai-npm]", async () => {
  const { data } = await client.models.list();
  expect(data.map(({ id }) => id)).toEqual(["base", "one", "two"]);
  expect(data[1]).toMatchObject({ object: "model", parent: "base", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(await client.models.retrieve("two")).toEqual(data[2]);
});

test.each(["base", "one", "two"])(
  "a completion by %s has the tokens that the library gives [S-completions, S-openai-npm]",
  async (model) => {
    const named = model === "base" ? {} : { adapter: model };
    const greedy = await client.completions.create({ model, prompt, max_tokens: 9, temperature: 0 });
    const expected = await continued(alone, promptIds, { ...named, maxNewTokens: 9 });
    expect(greedy.choices[0]?.text).toBe(textOf(expected));
    const sampled = await client.completions.create({ model, prompt, max_tokens: 9, temperature: 0.8, seed: 5 });
    const drawn = await continued(alone, promptIds, { ...named, maxNewTokens: 9, temperature: 0.8, seed: 5 });
    expect(sampled.choices[0]?.text).toBe(textOf(drawn));
    expect(sampled.usage).toEqual({
      prompt_tokens: promptIds.length,
      completion_tokens: 9,
      total_tokens: promptIds.length + 9,
    });
  },
);

test("a streamed chat is the whole one in pieces: role, pieces, reason, usage [S-chat, S-stream, S-openai-npm]", async () => {
  const asked = {
    model: "one",
    messages: [{ role: "user" as const, content: "Name a colour." }],
    max_tokens: 12,
    seed: 4,
  };
  const whole = await client.chat.completions.create(asked);
  const chunks = [];
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) chunks.push(chunk);
  const choices = chunks.flatMap(({ choices: own }) => own);
  expect(choices[0]?.delta).toEqual({ role: "assistant", content: "" });
  expect(choices.map(({ delta }) => delta.content ?? "").join("")).toBe(whole.choices[0]?.message.content);
  expect(choices.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null)).toEqual([
    whole.choices[0]?.finish_reason,
  ]);
  expect(choices.at(-1)?.delta).toEqual({});
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
  expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
});

test("an unknown model is never the base instead [S-model, S-openai-npm]", async () => {
  const asked = client.chat.completions.create({ model: "three", messages: [{ role: "user", content: "a" }] });
  await expect(asked).rejects.toThrow(NotFoundError);
  await expect(asked).rejects.toMatchObject({ code: "model_not_found", param: "model" });
  await expect(asked).rejects.toThrow('Cannot find the model "three": there are base, one, two');
});

test("a wrong field is refused by its name [S-openai-npm]", async () => {
  const asked = client.completions.create({ model: "base", prompt, temperature: -1 });
  await expect(asked).rejects.toThrow(BadRequestError);
  await expect(asked).rejects.toMatchObject({ status: 400, param: "temperature", type: "invalid_request_error" });
});

test("a client that leaves a stream ends its text [S-cancel, S-openai-npm]", async () => {
  const stream = await client.completions.create({
    model: "base",
    prompt,
    max_tokens: 150,
    ignore_eos: true,
    stream: true,
  } as never);
  const pieces = stream as unknown as AsyncIterable<unknown> & { readonly controller: AbortController };
  for await (const _ of pieces) break;
  pieces.controller.abort();
  const health = async () => (await (await fetch(`${server.url}/health`)).json()) as { readonly running: number };
  await expect.poll(async () => (await health()).running, { timeout: 600_000 }).toBe(0);
  const controller = new AbortController();
  const whole = client.completions.create({ model: "base", prompt, max_tokens: 150 }, { signal: controller.signal });
  controller.abort();
  await expect(whole).rejects.toThrow(APIUserAbortError);
});

test("with tokens only those who have one are answered [S-token, S-live, S-openai-npm]", async () => {
  const { url } = await servers.start({ tokens: [{ name: "me", token: "sesame" }] });
  await expect(clientOf(url, "wrong").models.list()).rejects.toThrow(AuthenticationError);
  expect((await clientOf(url, "sesame").models.list()).data).toHaveLength(3);
  expect((await fetch(`${url}/live`)).status).toBe(200);
  expect((await fetch(`${url}/health`)).status).toBe(401);
});
