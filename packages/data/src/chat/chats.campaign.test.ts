/** Templates without end: seconds of time and megabytes of memory each, until they are stopped. */
import { expect, test } from "vitest";
import { createRenderer } from "./renderer.ts";

test.each([
  [
    "runs without end",
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    /more than 10 s/,
  ],
  [
    "grows without end",
    "{% set n = namespace(l=[1,2,3,4]) %}{% for a in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}",
    /MB of memory|Invalid array length/,
  ],
  [
    "writes without end",
    "{% set n = namespace(t='0123456789') %}{% for a in range(40) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
    /characters for one chat|Invalid string length|MB of memory/,
  ],
])("a template that %s ends with an error that names it [D-chat-hostile]", async (_, chat, message) => {
  const renderer = createRenderer({ name: "hostile.jinja", chat, tokens: {}, turns: "all" }, ["</s>"]);
  const work = renderer.ask({ messages: [{ role: "user", content: "a" }] });
  await expect(work).rejects.toThrow('Cannot render chats with the template "hostile.jinja"');
  await expect(work).rejects.toThrow(message);
});
