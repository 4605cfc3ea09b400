import { expect, test } from "vitest";
import { compileTemplate } from "./jinja.ts";
import type { ChatMessage, DataRecord } from "./record.ts";
import { renderChat, renderQuestion } from "./spans.ts";
import { createSpecialTokens } from "./special_tokens.ts";

const special = createSpecialTokens(["<|im_start|>", "<|im_end|>", "</s>", "<|endoftext|>"]);
const tokens = { bos_token: "<s>", eos_token: "</s>" };
const rules = { turns: "all", special } as const;
const chatml =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const said = (...texts: string[]): ChatMessage[] =>
  texts.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));

/** What is trained of a chat, and the whole text. */
function trained(chat: string, record: DataRecord, turns: "all" | "last" = "all") {
  const { text, spans, isMarked, end } = renderChat(compileTemplate({ chat, tokens }), { ...rules, turns }, record);
  return { text, isMarked, end, parts: spans.map(([from, to]) => text.slice(from, to)) };
}

test("every turn of the assistant is trained with the token that ends it, and nothing else", () => {
  const chat = { messages: [{ role: "system", content: "S" }, ...said("a", "b", "c", "d")] };
  expect(trained(chatml, chat)).toEqual({
    text: "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>\n",
    isMarked: false,
    end: "<|im_end|>",
    parts: ["b<|im_end|>", "d<|im_end|>"],
  });
  expect(trained(chatml, chat, "last").parts).toEqual(["d<|im_end|>"]);
  expect(trained(chatml, { instruction: "a", input: "x", output: "b" }).text).toContain("user\na\n\nx<|im_end|>");
});

test("{% generation %} says what is trained, and the token behind it that ends the turn is added", () => {
  const marked = (inside: string, behind: string) =>
    `{% for m in messages %}\n  {%- if m.role == 'assistant' %}\n    {% generation %}\n{{ m.content }}${inside}{% endgeneration %}\n${behind}{% else %}[{{ m.content }}]{% endif %}{% endfor %}`;
  for (const template of [marked("</s>", ""), marked("", "</s>")]) {
    expect(trained(template, { messages: said("a", "b", "c", "d") })).toMatchObject({
      text: "[a]b</s>[c]d</s>",
      parts: ["b</s>", "d</s>"],
    });
    expect(trained(template, { messages: said("a", "b", "c", "d") }, "last").parts).toEqual(["d</s>"]);
  }
});

test("a template that ends the last turn otherwise is understood, as Phi's with its end of text", () => {
  const phi =
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|im_end|>\n{% endfor %}" +
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}<|endoftext|>{% endif %}";
  expect(trained(phi, { messages: said("a", "b", "c", "d") }).parts).toEqual(["b<|im_end|>", "d<|im_end|>"]);
});

test.each([
  [
    "drops earlier thoughts",
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    /turn 1 otherwise when it is the last one.*--turns last/,
  ],
  [
    "does not end turns",
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    /no special token behind/,
  ],
  [
    "leaves the beginning of an answer out",
    "{% for m in messages %}<|im_start|>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}A:{% endif %}",
    /turn 1 otherwise/,
  ],
  [
    "writes something else behind a special token inside the last turn",
    "{% for m in messages %}{% if m.role == 'assistant' %}A{{ m.content }}</s>{{ 'x' if loop.last else 'y' }}<|im_end|>{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}A{% endif %}",
    /turn 1 otherwise/,
  ],
  ["refuses", "{{ raise_exception('no system') }}", /it refuses: no system/],
  ["marks nothing", "{% generation %}{% endgeneration %}{{ messages[0].content }}</s>", /marks nothing/],
  ["writes dates that nobody knows", "{{ strftime_now('%j') }}", /%j/],
])("a template that %s is refused with the reason", (_, chat, message) => {
  expect(() => trained(chat, { messages: said("a", "b", "c", "d") })).toThrow(message);
});

test("the last turn is trained where earlier ones are written otherwise", () => {
  const forgetful =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}T{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  expect(trained(forgetful, { messages: said("a", "b", "c", "d") }, "last").parts).toEqual(["Td<|im_end|>"]);
});

test("what messages spell of special tokens is text: the template's own are marked", () => {
  const { text, isMarked, parts } = trained(chatml, { messages: said("x<|im_end|></s>", "<|im_end|>") });
  expect(isMarked).toBe(true);
  const own = (token: string) => `\u{10FFFF}<|im_${token}|>`;
  expect(text).toBe(
    `${own("start")}user\nx<|im_end|></s>${own("end")}\n${own("start")}assistant\n<|im_end|>${own("end")}\n`,
  );
  expect(parts).toEqual([`<|im_end|>${own("end")}`]);
});

test("a question ends with the beginning of an answer", () => {
  const { text } = renderQuestion(compileTemplate({ chat: chatml, tokens }), rules, { messages: said("a") });
  expect(text).toBe("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n");
});

test("the day is the same every day, as Python writes it", () => {
  const dated =
    "{{ strftime_now('%d %B %Y, %b %m %A %%') }}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% endif %}{% endfor %}";
  expect(trained(dated, { messages: said("a", "b") }).text).toBe("26 July 2024, Jul 07 Friday %b</s>");
});
