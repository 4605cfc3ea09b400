import { expect, test } from "vitest";
import { parseChat } from "./record.ts";

const user = { role: "user", content: "Hi" };
const assistant = { role: "assistant", content: "Hello" };

test("messages, ShareGPT's conversations, and prompts with completions are the same chat", () => {
  const chat = { record: { messages: [user, assistant] } };
  for (const item of [
    { messages: [user, assistant] },
    {
      conversations: [
        { from: "human", value: "Hi" },
        { from: "gpt", value: "Hello" },
      ],
    },
    { prompt: "Hi", completion: "Hello" },
    { prompt: [user], completion: [assistant] },
    { messages: [user, { role: "assistant", content: [{ type: "text", text: "Hel" }, { text: "lo" }] }] },
  ])
    expect(parseChat(item)).toEqual(chat);
  expect(parseChat({ instruction: "Hi", output: "Hello" })).toBeUndefined();
  expect(parseChat({ prompt: "Hi", chosen: "Hello" })).toBeUndefined();
});

test("tools, calls and whatever else a message holds are left to the template", () => {
  const tools = [{ type: "function", function: { name: "add" } }];
  const call = { role: "assistant", tool_calls: [{ function: { name: "add", arguments: { a: 1 } } }] };
  const result = { role: "tool", content: "2", tool_call_id: "x" };
  const messages = [user, { ...call, content: "" }, result, assistant];
  for (const given of [tools, JSON.stringify(tools)])
    expect(parseChat({ messages: [user, { ...call, content: null }, result, assistant], tools: given })).toEqual({
      record: { messages, tools },
    });
  expect(parseChat({ messages: [user, assistant], tools: [] })).toEqual({ record: { messages: [user, assistant] } });
});

test.each([
  ["no messages", { messages: [] }, "messages", "an empty list", "at least one message"],
  ["a text for messages", { messages: "Hi" }, "messages", 'the text "Hi"', "a list of messages"],
  ["a message that is none", { messages: [user, 3] }, "messages[1]", "a value of type number", "an object"],
  [
    "an unknown role",
    { messages: [{ role: "bot", content: "x" }] },
    "messages[0].role",
    'the unknown role "bot"',
    "one of",
  ],
  ["no role", { messages: [{ content: "x" }] }, "messages[0].role", "nothing", "one of system, developer"],
  [
    "ShareGPT's unknown",
    { conversations: [{ from: "alien", value: "x" }] },
    "conversations[0].from",
    '"alien"',
    "human",
  ],
  [
    "an empty question",
    { messages: [{ role: "user", content: " " }] },
    "messages[0].content",
    "an empty text",
    "not empty",
  ],
  ["no content", { messages: [user, { role: "assistant" }] }, "messages[1].content", "nothing", "a text"],
  ["no value", { conversations: [{ from: "human" }] }, "conversations[0].value", "nothing", "a text"],
  [
    "a picture",
    { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
    "messages[0].content[0]",
    'a part of type "image_url"',
    "a part that is text",
  ],
  ["nothing to learn", { messages: [user] }, undefined, "no turn of the assistant", "at least one"],
  ["a prompt alone", { prompt: "a", completion: 3 }, "completion", "a value of type number", "a list"],
  [
    "half a character",
    { messages: [user, { role: "assistant", content: "\ud800" }] },
    "messages",
    "half of a",
    "whole",
  ],
  ["a mark", { messages: [user, { role: "assistant", content: "\ufdd0" }] }, "messages", "a noncharacter", "text"],
  ["tools that are none", { messages: [user, assistant], tools: "{" }, "tools", '"{"', "a list of tools"],
  [
    "too much",
    { messages: [user, { role: "assistant", content: "x".repeat(1_000_000) }] },
    "messages",
    "1000",
    "at most",
  ],
  ["too many", { messages: Array.from({ length: 1001 }, () => user) }, "messages", "1001 messages", "at most 1000"],
])("of a chat with %s it is said what is wrong and where", (_, item, field, found, expected) => {
  const parsed = parseChat(item);
  if (!parsed || !("fault" in parsed)) throw new Error("it was taken");
  expect(parsed.fault.field).toBe(field);
  expect(parsed.fault.found).toContain(found);
  expect(parsed.fault.expected).toContain(expected);
});
