/** Each parameter of both kinds of completions: honoured as the library does it, or refused by name, or named as ignored. */
import type { ChosenText, TokenScores } from "@zerogate/core";
import { expect, test } from "vitest";
import { openAlone } from "../test/alone.ts";
import { post, type Reply } from "../test/post.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();
const server = await servers.start();
const alone = await openAlone(servers.place);
const { model, tokenizer } = alone;
const prompt = "The old house by the sea";
const promptIds = tokenizer.encode(prompt);
const ends = [...new Set([...model.base.config.eosTokenIds, tokenizer.eosId])];

const complete = (body: object): Promise<Reply> =>
  post(server, "/v1/completions", { model: "one", prompt, max_tokens: 8, temperature: 0, ...body });
const chat = (body: object): Promise<Reply> =>
  post(server, "/v1/chat/completions", {
    model: "one",
    messages: [{ role: "user", content: "Name a colour." }],
    max_tokens: 8,
    temperature: 0,
    ...body,
  });

/** The text that the library adds to the prompt. */
async function expected(options: Partial<ChosenText>): Promise<string> {
  const request = { promptIds, adapter: "one", maxNewTokens: 8, eosTokenIds: ends, ...options };
  const ids: number[] = [];
  for await (const event of model.generateBatch([request])) if ("id" in event) ids.push(event.id);
  return tokenizer.decode([...promptIds, ...ids]).slice(tokenizer.decode(promptIds).length);
}
const textOf = ({ json }: Reply): string => json.choices[0].text ?? json.choices[0].message.content;

const drawn = { temperature: 1, seed: 11 };
/** A title, what a request says, and what the library is asked for. */
const honoured: readonly [title: string, body: object, options: Partial<ChosenText>][] = [
  ["temperature: 0 takes the most likely tokens [S-temperature]", { temperature: 0 }, {}],
  ["temperature: above 0 draws [S-temperature]", { temperature: 0.7, seed: 3 }, { temperature: 0.7, seed: 3 }],
  ["seed: another one draws others [S-seed]", { temperature: 0.7, seed: 4 }, { temperature: 0.7, seed: 4 }],
  ["seed: a negative one [S-seed]", { temperature: 0.7, seed: -9 }, { temperature: 0.7, seed: -9 }],
  ["top_p [S-top_p]", { ...drawn, top_p: 0.2 }, { ...drawn, topP: 0.2 }],
  ["top_k [S-top_k]", { ...drawn, top_k: 3 }, { ...drawn, topK: 3 }],
  ["top_k: -1 keeps all [S-top_k]", { ...drawn, top_k: -1 }, drawn],
  ["min_p [S-min_p]", { ...drawn, min_p: 0.6 }, { ...drawn, minP: 0.6 }],
  [
    "repetition_penalty [S-repetition_penalty]",
    { repetition_penalty: 5, max_tokens: 24 },
    { repetitionPenalty: 5, maxNewTokens: 24 },
  ],
  [
    "presence_penalty [S-presence_penalty]",
    { presence_penalty: 2, max_tokens: 24 },
    { presencePenalty: 2, maxNewTokens: 24 },
  ],
  [
    "frequency_penalty [S-frequency_penalty]",
    { frequency_penalty: 1.5, max_tokens: 24 },
    { frequencyPenalty: 1.5, maxNewTokens: 24 },
  ],
  ["logit_bias [S-logit_bias]", { logit_bias: { 77: 100 } }, { logitBias: { 77: 100 } }],
  ["stop_token_ids [S-stop_token_ids]", { stop_token_ids: [77], logit_bias: { 77: 100 } }, { maxNewTokens: 0 }],
  ["max_tokens [S-max_tokens]", { max_tokens: 3 }, { maxNewTokens: 3 }],
  [
    "ignore_eos [S-ignore_eos]",
    { ignore_eos: true, logit_bias: { 2: 100 }, max_tokens: 4 },
    { eosTokenIds: [], logitBias: { 2: 100 }, maxNewTokens: 4 },
  ],
  ["without ignore_eos the end of text ends [S-ignore_eos]", { logit_bias: { 2: 100 } }, { maxNewTokens: 0 }],
  ["adapter_scale [S-adapter_scale]", { adapter_scale: 0.25 }, { scale: 0.25 }],
  ["adapter_scale: 0 is the base [S-adapter_scale]", { adapter_scale: 0 }, { adapter: null }],
  ["model: the base [S-model]", { model: "base" }, { adapter: null }],
  ["model: another adapter [S-model]", { model: "two" }, { adapter: "two" }],
  ["prompt: tokens [S-prompt]", { prompt: promptIds }, {}],
  ["fields that are null mean what absent ones do [S-null]", { top_p: null, stop: null, seed: null, n: null }, {}],
];

test.each(honoured)("%s", async (_, body, options) => {
  const reply = await complete(body);
  expect(reply.status, JSON.stringify(reply.json)).toBe(200);
  expect(textOf(reply)).toBe(await expected(options));
});

test("stop: an answer ends before the first of its stop texts, whole and streamed [S-stop]", async () => {
  const whole = textOf(await complete({ max_tokens: 24 }));
  const stop = [whole.slice(9, 12), whole.slice(5, 8)];
  const stopped = await complete({ max_tokens: 24, stop });
  const cut = whole.slice(0, Math.min(...stop.map((one) => whole.indexOf(one))));
  expect(stopped.json.choices[0]).toMatchObject({ text: cut, finish_reason: "stop" });
  expect((await complete({ max_tokens: 24, stop: stop[1] })).json.choices[0].finish_reason).toBe("stop");
  const { events } = await complete({ max_tokens: 24, stop, stream: true });
  expect(events.map(({ choices }) => choices[0].text).join("")).toBe(cut);
});

test("n: text i is drawn with seed + i, prompt by prompt [S-n, S-prompt]", async () => {
  const { json } = await complete({ prompt: [promptIds, promptIds.slice(0, 5)], n: 3, temperature: 1, seed: 20 });
  expect(json.choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
  for (const i of [0, 1, 2]) expect(json.choices[i].text).toBe(await expected({ temperature: 1, seed: 20 + i }));
  const alone4 = await complete({ prompt: promptIds.slice(0, 5), temperature: 1, seed: 21 });
  expect(json.choices[4].text).toBe(textOf(alone4));
  expect(json.usage.prompt_tokens).toBe(promptIds.length + 5);
});

test("best_of: as many as n, or it is refused [S-best_of]", async () => {
  expect((await complete({ n: 2, best_of: 2 })).status).toBe(200);
  expect(await complete({ n: 2, best_of: 3 })).toMatchObject({ status: 400, json: { error: { param: "best_of" } } });
});

test("without a seed answers differ [S-seed]", async () => {
  const texts = await Promise.all([1, 2, 3].map(async () => textOf(await complete({ temperature: 1 }))));
  expect(new Set(texts).size).toBeGreaterThan(1);
});

/** What the library says of the prompt and the answer, token by token. */
async function scored(top: number, maxNewTokens: number): Promise<(TokenScores | null)[]> {
  const { openScheduler } = await import("@zerogate/core");
  const scheduler = openScheduler(model.base);
  const found: (TokenScores | null)[] = [null];
  const adapter = model.adapter("one");
  const text = scheduler.submit({ promptIds, adapter, maxNewTokens, echo: true, topScores: top, eosTokenIds: ends });
  for await (const event of text) {
    if ("promptScores" in event) found.push(...event.promptScores);
    else if ("id" in event && event.scores) found.push(event.scores);
  }
  await scheduler.close();
  return found;
}

test("echo with logprobs: a number for each token, the first null, as lm-evaluation-harness reads them [S-echo, S-logprobs]", async () => {
  const scores = await scored(1, 1);
  const { json } = await complete({ prompt: [promptIds], max_tokens: 1, logprobs: 1, echo: true });
  const { tokens, token_logprobs, top_logprobs, text_offset } = json.choices[0].logprobs;
  expect(token_logprobs).toEqual(scores.map((one) => one?.logProbability ?? null));
  expect([tokens, top_logprobs, text_offset].map(({ length }) => length)).toEqual(
    [1, 1, 1].map(() => promptIds.length + 1),
  );
  expect(json.choices[0].text.startsWith(tokens.join(""))).toBe(true); // a broken character may follow
  expect(text_offset.at(-1)).toBe(prompt.length);
  expect(top_logprobs[0]).toBeNull();
  for (const [i, one] of scores.slice(1).entries()) {
    const top: Record<string, number> = top_logprobs[i + 1];
    const largest = Math.max(...Object.values(top));
    expect(largest).toBe(Math.max(one?.logProbability ?? 0, one?.top[0]?.logProbability ?? 0));
    expect(top[tokens[i + 1]]).toBe(one?.logProbability); // the same JSON number
    expect(token_logprobs[i + 1] === largest).toBe(one?.id === one?.top[0]?.id);
  }
});

test("max_tokens: 0 with echo scores the prompt alone [S-max_tokens, S-echo]", async () => {
  const scores = await scored(2, 0);
  const { json } = await complete({ max_tokens: 0, logprobs: 2, echo: true });
  expect(json.choices[0]).toMatchObject({ text: prompt, finish_reason: "length" });
  expect(json.choices[0].logprobs.token_logprobs).toEqual(scores.map((one) => one?.logProbability ?? null));
  expect(json.usage).toMatchObject({ completion_tokens: 0 });
});

test("echo without logprobs puts the prompt in front, whole and streamed [S-echo]", async () => {
  const answer = textOf(await complete({}));
  expect(textOf(await complete({ echo: true }))).toBe(prompt + answer);
  const { events } = await complete({ echo: true, stream: true });
  expect(events.map(({ choices }) => choices[0].text).join("")).toBe(prompt + answer);
});

test("two tokens with one text have entries of their own [S-logprobs]", async () => {
  const { json } = await complete({ logprobs: 20, max_tokens: 6 });
  for (const top of json.choices[0].logprobs.top_logprobs) {
    expect([20, 21]).toContain(Object.keys(top).length); // the chosen one may be a further one
  }
});

test("logprobs of a chat: with bytes, the chosen one with the same number [S-logprobs, S-top_logprobs]", async () => {
  const { json } = await chat({ logprobs: true, top_logprobs: 3 });
  const { content } = json.choices[0].logprobs;
  expect(content).toHaveLength(8);
  for (const { token, logprob, bytes, top_logprobs } of content) {
    expect(top_logprobs).toHaveLength(3);
    expect(top_logprobs[0].logprob).toBe(logprob); // greedy
    expect(Buffer.from(bytes ?? []).toString()).toBe(token);
  }
  expect((await chat({ logprobs: true })).json.choices[0].logprobs.content[0].top_logprobs).toEqual([]);
  expect((await chat({})).json.choices[0].logprobs).toBeNull();
});

test("max_completion_tokens comes before max_tokens [S-max_completion_tokens]", async () => {
  const { json } = await chat({ max_completion_tokens: 2, max_tokens: 5 });
  expect(json.usage.completion_tokens).toBe(2);
});

test("a chat without a limit goes on to the end of the context [S-max_completion_tokens]", async () => {
  const { json } = await chat({ max_tokens: undefined, ignore_eos: true });
  expect(json.usage.total_tokens).toBe(model.base.config.contextLength);
  expect(json.choices[0].finish_reason).toBe("length");
});

test("stream_options.include_usage: a last chunk without choices, and none without it [S-stream_options, S-stream]", async () => {
  const { events } = await complete({ stream: true, stream_options: { include_usage: true } });
  expect(events.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
  expect(events.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  const without = await complete({ stream: true });
  expect(without.events.every((event) => !("usage" in event))).toBe(true);
  expect((await complete({ stream_options: { include_usage: true } })).status).toBe(200);
});

test("a stream says what it is to proxies, and ends with [DONE] [S-stream]", async () => {
  const { headers, text } = await chat({ stream: true });
  expect(headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("x-accel-buffering")).toBe("no");
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
});

test("several choices of a stream come with their numbers, a role and a reason each [S-n, S-stream]", async () => {
  const { events } = await chat({ n: 3, temperature: 1, seed: 2, stream: true });
  const whole = await chat({ n: 3, temperature: 1, seed: 2 });
  for (const index of [0, 1, 2]) {
    const own = events.flatMap(({ choices }) => choices.filter((choice: { index: number }) => choice.index === index));
    expect(own[0].delta.role).toBe("assistant");
    expect(own.map(({ delta }) => delta.content ?? "").join("")).toBe(whole.json.choices[index].message.content);
    expect(own.filter(({ finish_reason }) => finish_reason !== null)).toHaveLength(1);
  }
});

const unsupported: readonly [title: string, body: object][] = [
  ["tools are refused [S-refused]", { tools: [{ type: "function", function: { name: "f" } }] }],
  ["functions are refused [S-refused]", { functions: [{ name: "f" }] }],
  ["tool_choice that forces a tool is refused [S-refused]", { tool_choice: "required" }],
  ["audio is refused [S-refused]", { audio: { voice: "alloy", format: "wav" } }],
  ["modalities beyond text are refused [S-refused]", { modalities: ["text", "audio"] }],
  ["suffix is refused [S-refused]", { suffix: "the end" }],
  ["guided_json is refused [S-refused]", { guided_json: {} }],
  ["guided_regex is refused [S-refused]", { guided_regex: "a+" }],
  ["guided_choice is refused [S-refused]", { guided_choice: ["a", "b"] }],
  ["structured_outputs are refused [S-refused]", { structured_outputs: { regex: "a" } }],
  ["grammar is refused [S-refused]", { grammar: "root ::= x" }],
  ["beam search is refused [S-refused]", { use_beam_search: true }],
  ["length_penalty is refused [S-refused]", { length_penalty: 0.8 }],
  ["min_tokens is refused [S-refused]", { min_tokens: 4 }],
  ["prompt_logprobs is refused [S-refused]", { prompt_logprobs: 2 }],
  ["skip_special_tokens: false is refused [S-refused]", { skip_special_tokens: false }],
  ["include_stop_str_in_output is refused [S-refused]", { include_stop_str_in_output: true }],
  ["truncate_prompt_tokens is refused [S-refused]", { truncate_prompt_tokens: 4 }],
  ["allowed_token_ids is refused [S-refused]", { allowed_token_ids: [1, 2] }],
  ["bad_words is refused [S-refused]", { bad_words: ["x"] }],
  ["typical_p is refused [S-refused]", { typical_p: 0.5 }],
  ["mirostat is refused [S-refused]", { mirostat: 2 }],
  ["chat_template is refused [S-refused]", { chat_template: "{{ x }}" }],
  ["continue_final_message is refused [S-refused]", { continue_final_message: true }],
  ["documents are refused [S-refused]", { documents: [{ text: "x" }] }],
];

test.each(unsupported)("%s", async (_, body) => {
  const [field = ""] = Object.keys(body);
  for (const reply of [await complete(body), await chat(body)]) {
    expect(reply.status).toBe(400);
    expect(reply.json.error).toMatchObject({ param: field, code: "unsupported", type: "invalid_request_error" });
    expect(reply.json.error.message).toMatch(new RegExp(`^Cannot use ${field}: \\w`));
  }
});

test.each([
  ["an empty list of tools asks for nothing [S-harmless]", { tools: [] }],
  ["tool_choice: none asks for nothing [S-harmless]", { tool_choice: "none" }],
  ["modalities: text asks for nothing [S-harmless]", { modalities: ["text"] }],
  ["an empty suffix asks for nothing [S-harmless]", { suffix: "" }],
  ["user, metadata and store are harmless [S-harmless]", { user: "me", metadata: { a: "b" }, store: true }],
  ["service_tier and priority are harmless [S-harmless]", { service_tier: "auto", priority: 3 }],
  ["parallel_tool_calls is harmless [S-harmless]", { parallel_tool_calls: false }],
])("%s", async (_, body) => {
  const reply = await complete(body);
  expect(reply.status).toBe(200);
  expect(reply.headers.get("x-zerogate-ignored")).toBeNull();
  expect(textOf(reply)).toBe(await expected({}));
});

test("fields that nothing knows are ignored and named in a header [S-ignored]", async () => {
  const reply = await complete({ temprature: 0.3, "x\r\ny": 1 });
  expect(reply.status).toBe(200);
  expect(reply.headers.get("x-zerogate-ignored")).toBe("temprature, x??y");
});

const wrong: readonly [title: string, param: string, body: object][] = [
  ["a temperature below 0 [S-temperature]", "temperature", { temperature: -0.1 }],
  ["a temperature that is a text [S-temperature]", "temperature", { temperature: "hot" }],
  ["top_p above 1 [S-top_p]", "top_p", { top_p: 1.01 }],
  ["top_k of half a token [S-top_k]", "top_k", { top_k: 1.5 }],
  ["min_p below 0 [S-min_p]", "min_p", { min_p: -1 }],
  ["a repetition_penalty of 0 [S-repetition_penalty]", "repetition_penalty", { repetition_penalty: 0 }],
  ["a presence_penalty of 3 [S-presence_penalty]", "presence_penalty", { presence_penalty: 3 }],
  ["a frequency_penalty of -3 [S-frequency_penalty]", "frequency_penalty", { frequency_penalty: -3 }],
  ["a logit_bias of a word [S-logit_bias]", "logit_bias.house", { logit_bias: { house: 1 } }],
  ["a logit_bias of 101 [S-logit_bias]", "logit_bias.5", { logit_bias: { 5: 101 } }],
  ["seventeen stop texts [S-stop]", "stop", { stop: Array.from({ length: 17 }, (_, i) => `s${i}`) }],
  ["an empty stop text [S-stop]", "stop", { stop: "" }],
  ["a seed of half [S-seed]", "seed", { seed: 0.5 }],
  ["n of 9 [S-n]", "n", { n: 9 }],
  ["n of 0 [S-n]", "n", { n: 0 }],
  ["max_tokens below 0 [S-max_tokens]", "max_tokens", { max_tokens: -1 }],
  ["an adapter_scale of 2 [S-adapter_scale]", "adapter_scale", { adapter_scale: 2 }],
  ["a timeout of 0 [S-timeout]", "timeout", { timeout: 0 }],
  ["a stream that is no boolean [S-stream]", "stream", { stream: "yes" }],
];

test.each(wrong)("%s is refused by its name", async (_, param, body) => {
  for (const reply of [await complete(body), await chat(body)]) {
    expect(reply.status).toBe(400);
    expect(reply.json.error.param).toBe(param);
    expect(reply.json.error.message).toMatch(/^Cannot use /);
  }
});

const wrongPrompts: readonly [title: string, body: object][] = [
  ["no prompt [S-prompt]", { prompt: undefined }],
  ["an empty list of prompts [S-prompt]", { prompt: [] }],
  ["an empty list of tokens [S-prompt]", { prompt: [[]] }],
  ["a token that the model has not [S-prompt]", { prompt: [999_999] }],
  ["texts and tokens mixed [S-prompt]", { prompt: ["a", [1]] }],
  ["more texts than the server takes [S-prompt]", { prompt: Array.from({ length: 81 }, () => "a") }],
];

test.each(wrongPrompts)("%s is refused", async (_, body) => {
  const reply = await complete(body);
  expect(reply).toMatchObject({ status: 400, json: { error: { type: "invalid_request_error" } } });
  expect(reply.json.error.param).toMatch(/^prompt/);
});

test("a prompt beyond the context is refused with both numbers, not cut [S-prompt]", async () => {
  const { contextLength } = model.base.config;
  const reply = await complete({ prompt: Array.from({ length: contextLength }, () => 5) });
  expect(reply.json.error).toMatchObject({ param: "prompt", code: "context_length_exceeded" });
  expect(reply.json.error.message).toContain(`${contextLength} tokens, the model's context is ${contextLength}`);
});

test("a text that is asked for longer than the context ends there [S-max_tokens]", async () => {
  const { json } = await complete({ max_tokens: 4000, ignore_eos: true });
  expect(json.usage.total_tokens).toBe(model.base.config.contextLength);
  expect(json.choices[0].finish_reason).toBe("length");
});

const wrongChats: readonly [title: string, param: string, body: object][] = [
  ["no messages [S-messages]", "messages", { messages: [] }],
  ["a message without a role [S-messages]", "messages.0.role", { messages: [{ content: "a" }] }],
  ["a role that nobody has [S-messages]", "messages.0.role", { messages: [{ role: "robot", content: "a" }] }],
  ["a content that is a number [S-messages]", "messages.0.content", { messages: [{ role: "user", content: 5 }] }],
  [
    "an earlier turn for an adapter of instructions [S-messages]",
    "messages",
    {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
        { role: "user", content: "c" },
      ],
    },
  ],
  ["a last message of the assistant [S-messages]", "messages", { messages: [{ role: "assistant", content: "b" }] }],
  ["top_logprobs without logprobs [S-top_logprobs]", "top_logprobs", { top_logprobs: 2 }],
  ["twenty-one top_logprobs [S-top_logprobs]", "top_logprobs", { logprobs: true, top_logprobs: 21 }],
];

test.each(wrongChats)("%s: a chat is refused", async (_, param, body) => {
  const reply = await chat(body);
  expect(reply).toMatchObject({ status: 400, json: { error: { type: "invalid_request_error", param } } });
});

test("a chat under an adapter of instructions is its template, the system's words before the question [S-messages]", async () => {
  const asked = { instruction: "Be brief.\n\nName a colour.", input: "" };
  const { promptOf } = await import("@zerogate/trainer/command");
  const { ids } = await promptOf(alone, asked, "one");
  const reply = await chat({
    messages: [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "Name a " },
          { type: "text", text: "colour." },
        ],
      },
    ],
  });
  expect(reply.json.usage.prompt_tokens).toBe(ids.length);
  const direct = await complete({ prompt: ids });
  expect(textOf(reply)).toBe(textOf(direct));
});

test("a chat with the base is written by its own chat template, earlier turns too [S-messages]", async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
    { role: "user", content: "c" },
  ];
  const reply = await chat({ model: "base", messages });
  const written = "<system> Be brief.\n<user> a\n<assistant> b</s>\n<user> c\n<assistant> ";
  const ids = tokenizer.encode(written, { addSpecialTokens: false });
  expect(reply.json.usage.prompt_tokens).toBe(ids.length);
  expect(textOf(reply)).toBe(textOf(await complete({ model: "base", prompt: ids })));
});
