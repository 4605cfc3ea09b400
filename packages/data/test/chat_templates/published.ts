/** The chat templates that `@huggingface/ollama-utils` carries, as the models' GGUF files have them, by the names of their models. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const main = createRequire(import.meta.url).resolve("@huggingface/ollama-utils");
/** The package exports what it makes of the templates only; its source has them. */
const source = readFileSync(join(dirname(main), "..", "src", "chat-template-automap.ts"), "utf8");
const ENTRY = /model: "([^"]+)",\s*gguf:\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'),/g;

/** Sources by models; of several templates of one model, such as `qwq:32b`, the later ones have a number behind. */
export const published: ReadonlyMap<string, string> = readAll();

function readAll(): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, model = "", literal = ""] of source.matchAll(ENTRY)) {
    const name = model.replace(/^library\//, "");
    const same = [...found.keys()].filter((known) => known.split(" ")[0] === name).length;
    found.set(same === 0 ? name : `${name} ${same + 1}`, textOf(literal));
  }
  return found;
}

/** The text of a literal, whose quotes are either. */
function textOf(literal: string): string {
  const inside = literal.slice(1, -1);
  const quoted = literal.startsWith("'") ? inside.replace(/\\'/g, "'").replace(/(?<!\\)"/g, '\\"') : inside;
  return JSON.parse(`"${quoted}"`) as string;
}
