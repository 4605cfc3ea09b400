/**
 * Chats as transformers writes them: questions, ids, and what its mask calls the assistant's, under templates of ours in the shapes that
 * families use.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeQuestion, loadTemplate, loadTokenizer, prepareTokens } from "@zerogate/data";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "../support/cli.ts";
import { absentModules, runPython } from "../support/python.ts";
import { base } from "../support/world.ts";

const COUNT = 200;
const turns = (body: string, begin: string) =>
  `{% for m in messages %}\n${body}\n{% endfor %}\n{% if add_generation_prompt %}${begin}{% endif %}`;

const shapes: Readonly<Record<string, string>> = {
  "turns between markers": turns("{{ '[' + m['role'] + ']\\n' + m['content'] + '</s>' }}", "{{ '[assistant]\\n' }}"),
  "a system prompt inside the first question, a BOS, trimmed texts":
    "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.system = m.content | trim ~ '\\n\\n' %}" +
    "{% elif m.role == 'user' %}{{ '[INST] ' ~ ns.system ~ m.content | trim ~ ' [/INST]' }}{% set ns.system = '' %}" +
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}",
  "tags that say what the assistant says": turns(
    "  {%- if m.role == 'assistant' %}\n    {% generation %}\n{{ m.content }}</s>{% endgeneration %}\n  {%- else %}<{{ m.role | upper }}> {{ m.content }}</s>\n  {%- endif %}",
    "",
  ),
  "tools, a date and a default system prompt":
    "{%- if messages[0].role != 'system' %}You are helpful. Today: {{ strftime_now('%d %B %Y') }}\n{% endif -%}" +
    "{%- if tools %}Tools:{% for t in tools %}\n{{ t | tojson }}{% endfor %}\n{% endif -%}" +
    turns(
      "{%- set role = 'model' if m.role == 'assistant' else m.role -%}\n<{{ role }}>{{ m.content }}</s>",
      "<model>",
    ),
};

const words = "Tom has a red dog, and Ann: <b>blue</b> cats? It's 3 o'clock; über “naïve” 日本 🙂 \n tab\t end.".split(
  " ",
);
/** Numbers of a linear generator: the same chats every time. */
let state = 7;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state % below;
};
const said = () =>
  Array.from({ length: 1 + random(9) }, () => words[random(words.length)])
    .join(" ")
    .trim() || "Hi";
const chats = Array.from({ length: COUNT }, (_, i) => ({
  ...(i % 5 === 0 && { tools: [{ name: "add", note: said() }] }),
  messages: [
    ...(random(2) === 0 ? [{ role: "system", content: said() }] : []),
    ...Array.from({ length: 1 + random(3) }, () => [
      { role: "user", content: said() },
      { role: "assistant", content: said() },
    ]).flat(),
  ],
}));

interface Rendered {
  readonly text: string;
  readonly question: string;
  readonly ids: readonly number[];
  readonly mask?: readonly number[] | null;
}

const absent = absentModules("transformers", "jinja2");
const cwd = testFolder();
let theirs: readonly (readonly Rendered[])[] = [];
beforeAll(async () => {
  if (absent !== "") return;
  const asked = { tokenizer: join(base, "tokenizer.json"), templates: Object.values(shapes), chats };
  writeFileSync(join(cwd, "asked.json"), JSON.stringify(asked));
  writeFileSync(join(cwd, "chats.json"), JSON.stringify(chats));
  const script = fileURLToPath(new URL("render.py", import.meta.url));
  await runPython(script, join(cwd, "asked.json"), join(cwd, "found.json"));
  theirs = JSON.parse(readFileSync(join(cwd, "found.json"), "utf8")) as typeof theirs;
});

test.skipIf(absent !== "").each(Object.entries(shapes))(
  `200 chats under %s: the ids of transformers, and its mask where it has one${absent}`,
  async (name, source) => {
    const tokenizer = await loadTokenizer(base);
    const path = join(cwd, "shape.jinja");
    writeFileSync(path, source);
    const template = await loadTemplate(path, tokenizer);
    const paths = join(cwd, "chats.json");
    const { tokens, recordOf } = await prepareTokens({ paths, tokenizer, template, rule: "response", maxLength: 4096 });
    const { ids, target, offsets } = tokens;
    const rows = theirs[Object.keys(shapes).indexOf(name)] ?? [];
    expect([rows.length, recordOf.length]).toEqual([COUNT, COUNT]);
    for (const [i, row] of rows.entries()) {
      const [from, to] = [offsets[i], offsets[i + 1]];
      const own = [...ids.subarray(from, to)];
      expect(own, row.text).toEqual(row.ids);
      const labels = [...target.subarray(from, to)];
      expect(labels, row.text).toEqual(row.mask ?? labels);
      const learned = own.filter((_, t) => labels[t] === 1);
      const answers = chats[i]?.messages.filter(({ role }) => role === "assistant") ?? [];
      expect(learned.filter((id) => id === tokenizer.eosId)).toHaveLength(answers.length);
      const { messages = [], tools } = chats[i] ?? {};
      if (tools || i % 10 > 0) continue;
      const asked = { instruction: messages.at(-2)?.content ?? "", input: "", messages: messages.slice(0, -2) };
      expect((await encodeQuestion(tokenizer, { template }, asked)).text).toBe(row.question);
    }
  },
);
