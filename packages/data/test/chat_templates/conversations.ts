/** Conversations by chance, the same for the same seed. */

export interface Conversation {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly tools?: readonly object[];
}

const words = [
  "Tom",
  "has a red dog,",
  "über",
  "“naïve”",
  "日本語",
  "🙂",
  "👩‍👩‍👧",
  "\n",
  "\n\n",
  " ",
  "  ",
  "\t",
  "It's",
  "3 o'clock;",
  "<b>x</b>",
  "{{ x }}",
  "{% if %}",
  "```py\ndef f(x):\n    return x  # ok\n```",
  "\\n",
  "'",
  '"',
  "[1, 2]",
  "עברית",
  "\u00a0",
  "…",
  "a\r\nb",
];
const edges = ["", "", "", " ", "\n", "  \n", "\t", "\ufeff", "\u3000"];
const tools = ["add", "größe"].map((name) => ({
  type: "function",
  function: {
    name,
    description: `Says "${name}".\nTwice <x>`,
    parameters: { type: "object", properties: { a: { type: "number" } }, required: ["a"] },
  },
}));

/** @param count How many; every seventh has tools, every third a system prompt, every fifth ends with an empty answer. */
export function conversations(count: number, seed = 7): Conversation[] {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const pick = (from: readonly string[]) => from[random(from.length)] ?? "";
  const said = () =>
    pick(edges) +
    Array.from({ length: 1 + random(8) }, () => pick(words)).join(random(3) === 0 ? "" : " ") +
    pick(edges);
  return Array.from({ length: count }, (_, i) => {
    const turns = Array.from({ length: 1 + random(4) }, () => [
      { role: "user", content: `${said()}q` },
      { role: "assistant", content: random(5) === 0 ? "" : said() },
    ]).flat();
    const system = i % 3 === 0 ? [{ role: "system", content: said() }] : [];
    return { messages: [...system, ...turns], ...(i % 7 === 3 && { tools }) };
  });
}
