/** Published chat templates: their texts as transformers writes them, and what is trained of them. */
import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { absentModules } from "../../../../tests/support/python.ts";
import { conversations } from "../../test/chat_templates/conversations.ts";
import { published } from "../../test/chat_templates/published.ts";
import { askTransformers, type Written } from "../../test/chat_templates/transformers.ts";
import { compileTemplate } from "./jinja.ts";
import { namedChatTemplates } from "./named.ts";
import { renderChat, TemplateFault } from "./spans.ts";
import { createSpecialTokens } from "./special_tokens.ts";

const CHATS = 200;
/** Of the 200 chats 67 have a system prompt, and 45 one question alone. */
const [NO_SYSTEM, ONE_QUESTION] = [CHATS - 67, 45];

interface Expected {
  /** The name of its model in the package, then the row of docs/data_forms.md. */
  readonly under: string;
  /** The token that ends a turn of the assistant; the tokenizer's end of text. @default </s> */
  readonly end?: string;
  readonly eos?: string;
  /** Chats whose turns are all trained, and those whose last one is; of others the template is at fault. @default all that it writes */
  readonly all?: number;
  readonly last?: number;
  /** Chats that it writes. @default all */
  readonly writes?: number;
}

const cases: readonly Expected[] = [
  { under: " llama3:8b [D-chat-llama3]", end: "<|eot_id|>" },
  { under: " llama3.1:8b [D-chat-llama3]", end: "<|eot_id|>" },
  { under: " llama3.2:3b [D-chat-llama3]", end: "<|eot_id|>" },
  { under: " qwen2.5:0.5b [D-chat-qwen2_5]", end: "<|im_end|>" },
  { under: " qwen3:0.6b [D-chat-qwen3]", end: "<|im_end|>", all: ONE_QUESTION },
  { under: " mistral:7b-instruct-fp16", writes: NO_SYSTEM },
  { under: " mixtral:8x7b [D-chat-mistral]" },
  { under: " mixtral:8x22b [D-chat-mistral]", all: NO_SYSTEM, last: NO_SYSTEM },
  { under: " mistral-small:24b [D-chat-mistral]" },
  { under: " gemma2:2b [D-chat-gemma]", end: "<end_of_turn>", writes: NO_SYSTEM },
  { under: " gemma3:1b [D-chat-gemma]", end: "<end_of_turn>", writes: NO_SYSTEM },
  { under: " phi3:3.8b [D-chat-phi3]", end: "<|end|>", eos: "<|endoftext|>" },
  { under: " phi3.5:3.8b [D-chat-phi3]", end: "<|end|>", eos: "<|endoftext|>" },
  { under: " phi4:14b [D-chat-phi4]", end: "<|im_end|>", eos: "<|endoftext|>" },
  { under: " smollm2:135m [D-chat-smollm2]", end: "<|im_end|>" },
  { under: " tinyllama:1.1b [D-chat-zephyr]" },
  { under: " internlm2:1.8b [D-chat-chatml]", end: "<|im_end|>" },
  { under: " hermes3:70b [D-chat-chatml]", end: "<|im_end|>" },
  { under: " deepseek-v3:671b [D-chat-deepseek]", end: "<｜end▁of▁sentence｜>" },
  { under: " deepseek-r1:8b [D-chat-deepseek]", end: "<｜end▁of▁sentence｜>" },
  { under: " granite3.3:2b [D-chat-granite]", end: "<|end_of_text|>" },
  { under: " olmo2:7b [D-chat-olmo2]" },
];

const chats = conversations(CHATS);
const absent = absentModules("transformers", "jinja2", "tokenizers");
const modelOf = ({ under }: Expected) => under.split(" ")[1] ?? "";
const asked = cases.map((one) => {
  const { eos = "</s>" } = one;
  const chat = published.get(modelOf(one)) ?? "";
  return { chat, tokens: { bos_token: "<s>", eos_token: eos } };
});
let theirs: readonly (readonly Written[])[] = [];
beforeAll(() => {
  if (absent === "") theirs = askTransformers(asked, chats);
});

test("the package has a hundred templates, and those that are named here", () => {
  expect(published.size).toBeGreaterThanOrEqual(95);
  expect(cases.filter((one) => !published.has(modelOf(one)))).toEqual([]);
});

test.skipIf(absent !== "").each(cases.map((one, i) => ({ ...one, i })))(
  `200 conversations have the texts of transformers, and so have the questions in them${absent}, under$under`,
  ({ i }) => {
    const template = compileTemplate(asked[i] ?? { chat: "", tokens: {} });
    const write = (...args: Parameters<typeof template.plain>) => {
      try {
        return template.plain(...args);
      } catch {
        return null;
      }
    };
    for (const [c, { messages, tools }] of chats.entries()) {
      const own = {
        text: write(messages, tools, false),
        fronts: messages.flatMap(({ role }, m) =>
          role === "assistant" ? [write(messages.slice(0, m), tools, true)] : [],
        ),
      };
      expect(own, `chat ${c}`).toEqual(theirs[i]?.[c]);
    }
  },
);

test.each([
  ["zephyr", "tinyllama:1.1b"],
  ["chatml", "dolphin-mixtral:8x7b"],
])("our %s writes what the published %s does [D-chat-zephyr, D-chat-chatml]", (name, model) => {
  const [own, other] = [namedChatTemplates.get(name), published.get(model)].map((chat = "") =>
    compileTemplate({ chat, tokens: { eos_token: "</s>" } }),
  );
  for (const { messages } of chats)
    for (const ask of [false, true]) {
      const part = ask ? messages.slice(0, -1) : messages;
      expect(own?.plain(part, undefined, ask)).toBe(other?.plain(part, undefined, ask));
    }
});

const names = ["im_start", "im_sep", "user", "assistant", "system", "eot_id", "start_header_id", "end_header_id"];
const others = ["<s>", "<｜User｜>", "<｜Assistant｜>", "<start_of_turn>", "[INST]", "[/INST]", "<|start_of_role|>"];
const known = [...names.map((name) => `<|${name}|>`), ...others];

test.each(cases.map((one, i) => ({ ...one, i })))(
  "what the assistant says in 200 conversations is trained with its end, and nothing else, under$under",
  ({ i, end = "</s>", eos = "</s>", writes = CHATS, all = writes, last = writes }) => {
    const compiled = compileTemplate(asked[i] ?? { chat: "", tokens: {} });
    const special = createSpecialTokens([...new Set([...known, end, eos])]);
    for (const [turns, expected] of [["all", all] as const, ["last", last] as const]) {
      const found = { trained: 0, refused: 0, fault: 0 };
      for (const [c, chat] of chats.entries()) {
        try {
          const rendered = renderChat(compiled, { turns, special }, chat);
          found.trained++;
          const said = chat.messages.flatMap(({ role, content }) => (role === "assistant" ? [content.trim()] : []));
          const chosen = turns === "all" ? said : said.slice(-1);
          const parts = rendered.spans.map(([from, to]) => rendered.text.slice(from, to));
          expect(parts, `chat ${c}`).toHaveLength(chosen.length);
          for (const [p, part] of parts.entries()) {
            expect(part.endsWith(end), part).toBe(true);
            const answer = part.slice(0, -end.length).replace("<think>\n\n</think>\n\n", "");
            expect(answer.trim(), `chat ${c}`).toBe(chosen[p]);
          }
          expect(rendered.end).toBe(end);
        } catch (error) {
          if (error instanceof Error && error.name === "AssertionError") throw error;
          found[error instanceof TemplateFault ? "fault" : "refused"]++;
        }
      }
      expect(found).toEqual({ trained: expected, refused: CHATS - writes, fault: writes - expected });
    }
  },
);

const tagged = ["qwen2_5_training", "qwen3_training", "phi3_training", "deepseekv3_training"].map((name) => {
  const path = new URL(`../../test/chat_templates/${name}.jinja`, import.meta.url);
  return { name, chat: readFileSync(path, "utf8"), tokens: { bos_token: "<s>", eos_token: "<|endoftext|>" } };
});

test.skipIf(absent !== "")(
  `of four templates with {% generation %} the parts of 200 conversations are those of transformers' mask${absent} [D-chat-mask]`,
  () => {
    const masks = askTransformers(tagged, chats);
    const ends = ["<|im_end|>", "<|end|>", "<｜end▁of▁sentence｜>", "<|endoftext|>"];
    const special = createSpecialTokens([...known, ...ends]);
    for (const [t, { name, ...source }] of tagged.entries()) {
      const compiled = compileTemplate(source);
      expect(compiled.marked).toBeDefined();
      for (const [c, chat] of chats.entries()) {
        const { text, spans } = renderChat(compiled, { turns: "all", special }, chat);
        const mask = masks[t]?.[c];
        expect({ text, trained: spans.map(([from, to]) => text.slice(from, to)) }, `${name}, chat ${c}`).toEqual({
          text: mask?.text,
          trained: mask?.trained,
        });
      }
    }
  },
);
