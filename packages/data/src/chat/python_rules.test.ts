import { expect, test } from "vitest";
import { compileTemplate } from "./jinja.ts";

/** What a template writes of one message; the expected texts are those of Jinja 3.1 in Python. */
function written(chat: string, content = "", others: object = {}): string {
  return compileTemplate({ chat, tokens: {} }).plain([{ role: "user", content, ...others }], undefined, false);
}

test.each([
  [" \n ab\n ", "m.content.strip()", "ab"],
  [" \n ab\n ", "m.content.strip('\\n')", " \n ab\n "],
  ["\n ab \n\n", "m.content.strip('\\n')", " ab "],
  ["\n ab \n\n", "m.content.lstrip('\\n')", " ab \n\n"],
  ["\n ab \n\n", "m.content.rstrip('\\n')", "\n ab "],
  ["xyaxbyx", "m.content.strip('xy')", "axb"],
  ["🙂a🙂🙂", "m.content.strip('🙂')", "a"],
  ["🙂a", "m.content.lstrip('🙃')", "🙂a"],
  ["\ufeffa\ufeff", "m.content | trim", "\ufeffa\ufeff"],
  ["\x1c\x85\u3000a\x1f", "m.content | trim", "a"],
  ["  ", "m['content'] | trim ~ '.'", "."],
  ["hELLO wORLD", "m.content | capitalize", "Hello world"],
  ["hELLO wORLD-wIDE", "m.content | title", "Hello World-Wide"],
  ["they're bill's", "m.content.title()", "They'Re Bill'S"],
  ["ab", "m.content.split('b')[0].strip() + m.content.upper()", "aAB"],
])("of %j %s is %j", (content, expression, expected) => {
  expect(written(`{% for m in messages %}{{ ${expression} }}{% endfor %}`, content)).toBe(expected);
});

test("a round of a loop does not know what the round before set, and sees what was set outside", () => {
  const rounds = (body: string) => written(`{% set x = 'o' %}{% for i in range(3) %}${body}{% endfor %}{{ x }}`);
  expect(rounds("{% if i == 1 %}{% set x = 'i' %}{% endif %}{{ x }}")).toBe("oioo");
  expect(rounds("{{ y }}{% set y = i %}{% set i = 7 %}{{ i }}")).toBe("777o");
  expect(rounds("{% set x, y = x ~ i, 1 %}{{ x }}")).toBe("o0o1o2o");
  expect(rounds("{% for j in range(2) %}{% set x = x ~ j %}{{ x }}{% endfor %}")).toBe("o0o1o0o1o0o1o");
});

test("loops go over the characters of a text, and over nothing", () => {
  const loops =
    "{% for m in messages %}{% for c in m.content %}{{ c }}.{% endfor %}{% for t in m.tools %}x{% endfor %}";
  const chosen = "{% for c in m.content if c != 'a' %}{{ loop.index }}{{ c }}{% endfor %}{% endfor %}";
  expect(written(loops + chosen, "a🙂b")).toBe("a.🙂.b.1🙂2b");
});

test("what is no text is not stripped, and line breaks of other systems are one", () => {
  expect(() =>
    written("{% for m in messages %}{{ m.tool_calls.strip() }}{% endfor %}", "", { tool_calls: [] }),
  ).toThrow("it takes a value for a text");
  expect(written("a\r\n{% if true %}\r\nb{% endif %}\rc")).toBe("a\nbc");
});
