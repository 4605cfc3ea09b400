/** Chats from a file to tokens, and templates that must not be believed. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ChatTemplate } from "@zerogate/core";
import { expect, onTestFinished, test } from "vitest";
import { BOS, EOS, tinyTokenizerFiles, tinyTokenizerJson } from "../../test/tiny_tokenizer.ts";
import { encodeQuestion } from "../encode_sample.ts";
import { prepareTokens } from "../prepare.ts";
import { describeProblem } from "../record_problems.ts";
import { loadTemplate } from "../templates.ts";
import { createTokenizer, loadTokenizer, type Tokenizer } from "../tokenizer.ts";
import { createRenderer } from "./renderer.ts";

const source =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<q>{{ m.content }}:{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";

async function folderWith(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-chats-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  return folder;
}

/** A model's folder as far as chats need it. */
async function modelWith(config: object, files: Readonly<Record<string, unknown>> = {}): Promise<Tokenizer> {
  const { tokenizerJson } = tinyTokenizerFiles(tinyTokenizerJson());
  const tokenizer = { bos_token: "<s>", eos_token: { content: "</s>" }, ...config };
  return await loadTokenizer(
    await folderWith({ "tokenizer.json": tokenizerJson, "tokenizer_config.json": tokenizer, ...files }),
  );
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const chats = [
  { messages: [user("ab"), assistant("a"), user("b"), assistant("ab")] },
  { messages: [user("a</s>"), assistant("b")] },
];

async function tokensOf(records: readonly unknown[], tokenizer: Tokenizer, maxLength = 100) {
  const data = join(await folderWith({ "d.json": records }), "d.json");
  const template = await loadTemplate("chat", tokenizer);
  const prepared = await prepareTokens({ paths: data, tokenizer, template, rule: "response", maxLength });
  const { ids, target, offsets } = prepared.tokens;
  const samples = Array.from(prepared.recordOf, (_, s) => ({
    ids: [...ids.subarray(offsets[s], offsets[s + 1])],
    target: [...target.subarray(offsets[s], offsets[s + 1])],
  }));
  return { samples, stats: prepared.stats };
}

test("chats become the tokens that their template writes, the assistant's turns with their ends as targets", async () => {
  const tokenizer = await modelWith({ chat_template: source });
  const { samples } = await tokensOf(chats, tokenizer);
  const [first, second] = samples;
  expect(tokenizer.decode(first?.ids ?? [], { keepSpecialTokens: true })).toContain("<s>");
  const learned = (sample = first) => sample?.ids.filter((_, t) => sample.target[t] === 1) ?? [];
  expect(learned().filter((id) => id === EOS)).toHaveLength(2);
  expect(tokenizer.decode(learned(), { keepSpecialTokens: true })).toBe("a</s>ab</s>");
  expect(first?.ids.filter((id) => id === BOS)).toHaveLength(1);
  // The </s> that the user wrote is text: the only EOS is the template's.
  expect(second?.ids.filter((id) => id === EOS)).toHaveLength(1);
  expect(tokenizer.decode(learned(second), { keepSpecialTokens: true })).toBe("b</s>");
  expect(tokenizer.decode(second?.ids ?? [])).toContain("a</s>:");
});

test("a chat that is too long is cut behind a whole turn if one fits, inside the first one if not", async () => {
  const tokenizer = await modelWith({ chat_template: source });
  const whole = (await tokensOf(chats.slice(0, 1), tokenizer)).samples[0]?.ids ?? [];
  const end = whole.indexOf(EOS) + 1;
  const lengthAt = async (maxLength: number) =>
    (await tokensOf(chats.slice(0, 1), tokenizer, maxLength)).samples[0]?.ids;
  for (const maxLength of [whole.length - 1, end + 1, end])
    expect(await lengthAt(maxLength)).toEqual(whole.slice(0, end));
  expect(await lengthAt(end - 1)).toEqual(whole.slice(0, end - 1));
  await expect(lengthAt(4)).rejects.toThrow("none of 1 records has a token of its response within maxLength 4");
});

test("the template is that of chat_template.jinja, tokenizer_config.json or chat_template.json, in this order", async () => {
  const marked = (name: string) => `${name}${source}`;
  const named = [
    { name: "tool_use", template: "t" },
    { name: "default", template: marked("named") },
  ];
  const legacy = { "chat_template.json": { chat_template: marked("legacy") } };
  const cases: [object, object, string][] = [
    [{ chat_template: marked("config") }, { "chat_template.jinja": marked("file"), ...legacy }, marked("file")],
    [{ chat_template: marked("config") }, legacy, marked("config")],
    [{ chat_template: named }, legacy, marked("named")],
    [{}, legacy, marked("legacy")],
  ];
  for (const [config, files, chat] of cases) {
    const tokenizer = await modelWith(config, files as Record<string, unknown>);
    expect(await loadTemplate("chat", tokenizer, "last")).toEqual({
      name: "chat",
      chat,
      tokens: { bos_token: "<s>", eos_token: "</s>" },
      turns: "last",
      end: "</s>",
    });
  }
  const own = join(await folderWith({ "own.jinja": source }), "own.jinja");
  expect(await loadTemplate(own, await modelWith({}))).toMatchObject({ name: "own.jinja", chat: source });
});

test("chatml and zephyr are there by name, for tokenizers that have the end of their turns [D-chat-zephyr, D-chat-chatml]", async () => {
  const tokenizer = await modelWith({});
  const zephyr = await loadTemplate("zephyr", tokenizer);
  expect(zephyr).toMatchObject({ name: "zephyr", end: "</s>", turns: "all" });
  const { text } = await encodeQuestion(tokenizer, { template: zephyr }, { instruction: "a", input: "" });
  expect(text).toBe("<|user|>\na</s>\n<|assistant|>\n");
  await expect(loadTemplate("chatml", tokenizer)).rejects.toThrow(
    /Cannot use the template "chatml": .*no special token behind.*--template zephyr ends turns/,
  );
  await expect(loadTemplate("zephyr")).rejects.toThrow("no model is given");
});

test("a model without a template, or with several of which none is the default, is refused with what to type", async () => {
  await expect(loadTemplate("chat", await modelWith({}))).rejects.toThrow(/has no chat template .*--template zephyr/);
  const several = { chat_template: [{ name: "rag", template: "x" }] };
  await expect(loadTemplate("chat", await modelWith(several))).rejects.toThrow(
    /has the names "rag", none is "default"/,
  );
  await expect(loadTemplate("chat")).rejects.toThrow("no model is given");
  await expect(loadTemplate("chat", await modelWith({ chat_template: "{% if %}" }))).rejects.toThrow(
    'Cannot use the template "chat": it is no template that can be read',
  );
  await expect(loadTemplate("chat", await modelWith({ chat_template: "{{ messages[0].content }}" }))).rejects.toThrow(
    "so nothing shows what to train",
  );
});

test("chats of a thousand messages are rendered, and many short ones in their order", async () => {
  const renderer = createRenderer({ name: "t", chat: source, tokens: { eos_token: "</s>" }, turns: "all" }, ["</s>"]);
  const long = { messages: Array.from({ length: 500 }, (_, i) => [user(`q${i}`), assistant(`a${i}`)]).flat() };
  const short = Array.from({ length: 150 }, (_, i) => ({ messages: [user("a"), assistant(`b${i}`)] }));
  const rendered = await renderer.render([...short, long, ...short]);
  const written = rendered.flatMap((chat) => ("refused" in chat ? [] : [chat]));
  expect(written.map(({ spans }) => spans.length)).toEqual([...short.map(() => 1), 500, ...short.map(() => 1)]);
  expect(written.slice(0, 150).map(({ text }) => text)).toEqual(short.map((_, i) => `<q>a:b${i}</s>`));
});

const strict = "{% if messages[0].content[0] == 'x' %}{{ raise_exception('not x') }}{% endif %}" + source;
const rendererOfStrict = () =>
  createRenderer({ name: "t", chat: strict, tokens: { eos_token: "</s>" }, turns: "all" }, ["</s>"]);
const chatFrom = (first: string) => ({ messages: [user(first), assistant("b")] });

test("a chat that the template refuses does not keep it from others, and a question is refused by name", async () => {
  const renderer = rendererOfStrict();
  const good = { text: "<q>a:b</s>", end: "</s>" };
  const refused = { refused: "it refuses: not x" };
  expect(await renderer.render([chatFrom("a"), chatFrom("x"), chatFrom("a")])).toMatchObject([good, refused, good]);
  await expect(renderer.ask({ messages: [user("x")] })).rejects.toThrow('the one that begins "x": it refuses: not x');
  expect(await renderer.ask({ messages: [user("a")] })).toMatchObject({ text: "<q>a:" });
});

test.each([
  ["few", 20],
  ["many", 1200],
])(
  "of %s chats those that the template refuses are bad records by file and line, left out as others are [D-chat-refused]",
  async (_few, count) => {
    const tokenizer = await modelWith({ chat_template: strict });
    const bad = [3, 7, count - 1];
    const lines = Array.from({ length: count }, (_, i) => JSON.stringify(chatFrom(bad.includes(i) ? `x${i}` : "a")));
    const paths = join(await folderWith({ "d.jsonl": ["{}", ...lines].join("\n") }), "d.jsonl");
    const template = await loadTemplate("chat", tokenizer);
    const options = { paths, tokenizer, template, rule: "response", maxLength: 50 } as const;
    const prepared = await prepareTokens({ ...options, skipBad: true, cacheDir: join(dirname(paths), "cache") });
    expect(prepared.skipped).toBe(4);
    expect([...prepared.recordOf]).toEqual(lines.flatMap((_line, i) => (bad.includes(i) ? [] : [i])));
    expect(prepared.stats).toMatchObject({ samples: count - 3, droppedNoTarget: 0 });
    const said = `found a chat of which the template "chat" says: it refuses: not x, expected a chat that it writes`;
    const places = bad.map((i) => i + 2);
    expect(prepared.problems.map(describeProblem)[1]).toBe(
      `${paths}, lines ${places[0]}, ${places[1]} and ${places[2]}: ${said}`,
    );
    await writeFile(paths, lines.join("\n"));
    const strictly = prepareTokens(options);
    const seen = count > 256 ? "2 of the first 256 of 1200" : "3 of 20";
    await expect(strictly).rejects.toThrow(
      `Cannot use ${seen} records (skip bad records to leave such out): ${paths}, lines 4`,
    );
    await writeFile(paths, bad.map((i) => lines[i]).join("\n"));
    await expect(prepareTokens({ ...options, skipBad: true })).rejects.toThrow("Cannot use 3 of 3 records");
  },
);

test("a template that shows not what to train is no matter of bad records", async () => {
  const forgetful =
    "{% for m in messages %}{{ 'T' if m.role == 'assistant' and loop.last }}{{ m.content }}</s>{% endfor %}";
  const tokenizer = await modelWith({ chat_template: forgetful });
  const template = await loadTemplate("chat", tokenizer);
  const paths = join(await folderWith({ "d.json": chats }), "d.json");
  const prepared = prepareTokens({ paths, tokenizer, template, rule: "response", maxLength: 50, skipBad: true });
  await expect(prepared).rejects.toThrow(/writes turn 1 otherwise .*--turns last/);
});

test("questions are written with what was said before, under a template of chats only", async () => {
  const tokenizer = createTokenizer(tinyTokenizerFiles());
  const template: ChatTemplate = {
    name: "t",
    chat: source,
    tokens: { bos_token: "<s>", eos_token: "</s>" },
    turns: "all",
    end: "</s>",
  };
  const asked = { instruction: "b", input: "", messages: [user("a"), assistant("ab")] };
  const { text, ids } = await encodeQuestion(tokenizer, { template }, asked);
  expect(text).toBe("<s><q>a:ab</s><q>b:");
  expect(ids.filter((id) => id === BOS || id === EOS)).toEqual([BOS, EOS]);
  await expect(encodeQuestion(tokenizer, { template: await loadTemplate("alpaca") }, asked)).rejects.toThrow(
    "it is no template of chats",
  );
});
