/** Chats from training to talking: the template travels with the adapter, and every command writes chats as training did. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, records, tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const run = (...args: string[]) => zerogateHere(args, { cwd });

const source =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}{{ eos_token }}" +
  "{% else %}[{{ m.role }}] {{ m.content }}\n{% endif %}{% endfor %}";
const stored = {
  name: "chat",
  chat: source,
  tokens: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
  turns: "all",
  end: "</s>",
};

/** The world's records as chats: its instructions, each with a question about it. */
function chats(file: "train.json" | "heldout.json", count: number) {
  const pairs = records(file, 2 * count);
  return Array.from({ length: count }, (_, i) => ({
    messages: [
      { role: "system", content: "Be short." },
      ...pairs.slice(2 * i, 2 * i + 2).flatMap(({ instruction, input, output }) => [
        { role: "user", content: [instruction, input].filter(Boolean).join(" ") },
        { role: "assistant", content: output },
      ]),
    ],
  }));
}

const flags = {
  "--model": "model",
  "--data": "chats.jsonl",
  "--validation-data": "held.jsonl",
  "--template": "chat",
  "--steps": "2",
  "--adapter-len": "2",
  "--adapter-layers": "1",
  "--engine": "reference",
  "--report-answers": "2",
};

beforeAll(async () => {
  cpSync(base, at("model"), { recursive: true });
  writeFileSync(at("model", "chat_template.jinja"), source);
  const lines = (list: readonly object[]) => list.map((item) => JSON.stringify(item)).join("\n");
  writeFileSync(at("chats.jsonl"), lines(chats("train.json", 24)));
  writeFileSync(at("held.jsonl"), lines(chats("heldout.json", 4)));
  const trained = await run("train", ...tinyRun(cwd, flags), "--out", "run");
  expect(trained.code, trained.stderr).toBe(0);
});

test("adapter and checkpoints hold the model's template, and verify and resume know it", async () => {
  for (const folder of [at("run", "adapter"), at("run", "checkpoints", "step-2")])
    expect(JSON.parse(readFileSync(join(folder, "zerogate.json"), "utf8"))).toEqual({
      version: 2,
      template: stored,
      bos: "tokenizer",
    });
  expect((await run("verify", "run")).code).toBe(0);
  expect((await run("resume", "run")).code).toBe(0);
  expect((await run("inspect", "run/adapter", "--json")).json[0]).toMatchObject({ template: "chat" });
});

test("ShareGPT's words, turns of the last answer alone, and the file of the template train as they say", async () => {
  const shareGpt = chats("train.json", 24).map(({ messages }) => ({
    conversations: messages.map(({ role, content }) => ({
      from: role === "user" ? "human" : role === "assistant" ? "gpt" : role,
      value: content,
    })),
  }));
  writeFileSync(at("share.json"), JSON.stringify(shareGpt));
  const trained = async (out: string, changes: object) => {
    const { code, stderr } = await run("train", ...tinyRun(cwd, { ...flags, ...changes }), "--out", out);
    expect(code, stderr).toBe(0);
    return adapterHash(at(out));
  };
  const same = { "--data": "share.json", "--template": "model/chat_template.jinja" };
  expect(await trained("same", same)).toBe(adapterHash(at("run")));
  expect(await trained("last", { "--turns": "last" })).not.toBe(adapterHash(at("run")));
});

test("generate, eval and chat write chats as training did, and chat remembers what was said", async () => {
  const asked = ["--model", "model", "--adapter", "run/adapter", "--engine", "reference", "--max-new-tokens", "3"];
  const one = await run("generate", ...asked, "--instruction", "Name it", "--json");
  expect(one.json[0]).toMatchObject({ prompt: "<s>[user] Name it\n" });
  const several = await run("generate", ...asked, "--prompts", "held.jsonl", "--json");
  expect(several.json).toHaveLength(4);
  expect(several.json[0]?.["prompt"]).toMatch(/^<s>\[system\] Be short\.\n\[user\] .*<\/s>\[user\] .*\n$/s);

  const evaluate = async (...more: string[]) => {
    const found = await run("eval", "--model", "model", "--data", "held.jsonl", "--json", ...more);
    expect(found.code, found.stderr).toBe(0);
    return found.json[0]?.["loss"];
  };
  const loss = await evaluate("--adapter", "run/adapter");
  expect(await evaluate("--adapter", "run/adapter", "--template", "chat")).toBe(loss);
  expect(await evaluate("--template", "chat")).not.toBe(loss);

  const talk = async (input: string) => (await zerogateHere(["chat", ...asked], { cwd, input })).stdout.split("\n");
  const [first = "", second] = await talk("Name it\nAnd then?\n");
  const [user, assistant] = [
    (content: string) => ({ role: "user", content }),
    (content: string) => ({ role: "assistant", content }),
  ];
  const messages = [user("Name it"), assistant(first), user("And then?"), assistant("x")];
  writeFileSync(at("talk.json"), JSON.stringify([{ messages }]));
  const whole = await run("generate", ...asked, "--prompts", "talk.json", "--json");
  expect(whole.json[0]).toMatchObject({
    prompt: `<s>[user] Name it\n${first}</s>[user] And then?\n`,
    answers: [{ text: second }],
  });

  // Three questions of which two fit the context of 256 tokens: what was said before is part of the third.
  const long = `${"the small red house ".repeat(15)}\n`;
  const complaint = async (input: string) => (await zerogateHere(["chat", ...asked], { cwd, input })).stderr;
  expect(await complaint(long.repeat(4))).toContain("context");
  expect(await complaint(`${long}/new\n`.repeat(4))).not.toContain("context");
});

test("chats under a template of instructions are refused with what to type", async () => {
  const refused = await run("train", ...tinyRun(cwd, { ...flags, "--template": "alpaca" }), "--out", "refused");
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("--template chat trains as they are") });
});
