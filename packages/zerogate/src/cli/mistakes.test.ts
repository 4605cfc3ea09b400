/**
 * docs/mistakes.md: what people type by mistake, and the answer, as it was given just now. Where an answer has changed, run this
 * test with ZEROGATE_WRITE_DOCS=1, which writes the page anew.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { openPlace, sixSteps } from "../../test/here.ts";

const page = fileURLToPath(new URL("../../../../docs/mistakes.md", import.meta.url));
const place = openPlace();
const { at, run } = place;

interface Mistake {
  readonly title: string;
  /** What is wrong, in a sentence. */
  readonly about: string;
  /** Words of the command; names of files are those in the folder of the test. */
  readonly line: string;
  readonly code: number;
  /** Makes what the command finds. */
  readonly make?: () => void;
}

const train = (more: string) => `train --model base --data data.json --out new ${more}`.trim();
const copyOfBase = (name: string, change: (folder: string) => void) => {
  cpSync(place.base, at(name), { recursive: true });
  change(at(name));
};
const changeConfig = (folder: string, change: object) => {
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), ...change }));
};

const mistakes: readonly Mistake[] = [
  {
    title: "A name of the Hub that is not here",
    about: "Nothing is downloaded unasked: `--download` asks for it, or the line that the answer names.",
    line: "train --model meta-llama/Llama-3.2-1B --data data.json --out new",
    code: 2,
  },
  {
    title: "Data with other columns",
    about:
      "Records have `instruction`, `output` and optionally `input`, or well-known other names; where several may be meant, you say it.",
    line: "train --model base --data columns.jsonl --out new",
    code: 2,
    make: () =>
      writeFileSync(at("columns.jsonl"), '{"prompt": "Name a colour", "chosen": "Blue", "rejected": "Seven"}\n'),
  },
  {
    title: "Conversations as data",
    about: "A chat has turns, a record has one question and its answer.",
    line: "train --model base --data chat.jsonl --out new",
    code: 2,
    make: () =>
      writeFileSync(
        at("chat.jsonl"),
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n',
      ),
  },
  {
    title: "A data file that is not there",
    about: "A path counts from the folder where the command is typed.",
    line: "train --model base --data alpaca.json --out new",
    code: 2,
  },
  {
    title: "Weights that Git left behind",
    about: "`git clone` without Git LFS fetches pointers in place of the large files.",
    line: "train --model cloned --data data.json --out new",
    code: 2,
    make: () =>
      copyOfBase("cloned", (folder) =>
        writeFileSync(
          join(folder, "model.safetensors"),
          "version https://git-lfs.github.com/spec/v1\noid sha256:4a1b\nsize 2471645608\n",
        ),
      ),
  },
  {
    title: "A model without its tokenizer",
    about: "The tokenizer is read from the folder of the model.",
    line: "train --model bare --data data.json --out new",
    code: 2,
    make: () => copyOfBase("bare", (folder) => rmSync(join(folder, "tokenizer.json"))),
  },
  {
    title: "A quantised base",
    about:
      "GPTQ, AWQ, bitsandbytes, FP8, compressed-tensors and MLX are unpacked while they are loaded; what is packed in another way is refused.",
    line: "train --model quantised --data data.json --out new",
    code: 2,
    make: () =>
      copyOfBase("quantised", (folder) =>
        changeConfig(folder, { quantization_config: { quant_method: "hqq", bits: 4 } }),
      ),
  },
  {
    title: "An adapter of another base",
    about: "An adapter belongs to the base that it was trained on.",
    line: 'generate --model other --adapter run --instruction "Name a colour"',
    code: 2,
    make: () =>
      cpSync(fileURLToPath(new URL("../../../trainer/world/base", import.meta.url)), at("other"), { recursive: true }),
  },
  {
    title: "A flag of another program, under another meaning",
    about: "Names of other programs are taken if they mean the same; if not, the message says what to give.",
    line: train("--per-device-train-batch-size 4"),
    code: 2,
  },
  {
    title: "A flag with a typing error",
    about: "What is near is suggested.",
    line: train("--bacth-size 4"),
    code: 2,
  },
  {
    title: "Records that are longer than `maxLength`",
    about: "An answer that does not fit cannot be learned: more than 5 % of such records are refused.",
    line: train("--max-length 40"),
    code: 2,
  },
  {
    title: "An output folder that is in use",
    about: "A run is never overwritten.",
    line: "train --model base --data data.json --out run",
    code: 2,
  },
  {
    title: "A finished run, resumed",
    about: "Nothing is done, and nothing is wrong.",
    line: "resume run",
    code: 0,
  },
  {
    title: "Another prompt template than in training",
    about: "An adapter stores its template; another one by flag is used, with a warning.",
    line: 'generate --adapter run --template plain --instruction "Name a colour" --max-new-tokens 1 --engine reference',
    code: 0,
  },
  {
    title: "More than memory holds",
    about: "What cannot fit is refused before anything is allocated; `train --dry-run` estimates the rest.",
    line: train("--adapter-len 60000"),
    code: 2,
  },
];

/** Splits a line as a shell does that knows double quotes only. */
const wordsOf = (line: string): string[] =>
  Array.from(line.matchAll(/"([^"]*)"|\S+/g), ([word, quoted]) => quoted ?? word);

/** Names of what lies in the folder of the test get its path, as commands run elsewhere. */
const placed = (word: string): string =>
  /^(?:base|new|run|cloned|bare|quantised|other|\w+\.jsonl?)$/.test(word) ? at(word) : word;

/** Without the folders of the machine, and the phases, which are shown by the clock. */
function neutral(text: string): string {
  return text
    .replaceAll(`${at("")}/`.replace("//", "/"), "")
    .replaceAll(`${process.cwd()}/`, "")
    .replaceAll(/^(?:reading data|tokenising data .*)\n/gm, "")
    .trimEnd();
}

beforeAll(async () => {
  expect((await run(sixSteps(place, "run"))).code).toBe(0);
});

test("the page says what is answered to the commonest mistakes [T-D10]", async () => {
  const parts: string[] = [];
  for (const { title, about, line, code, make } of mistakes) {
    make?.();
    const answer = await run(wordsOf(line).map(placed));
    expect([title, answer.code, answer.stderr]).toEqual([title, code, expect.any(String)]);
    expect(neutral(answer.stderr + answer.stdout), title).not.toMatch(/\n {4}at |\/tmp\/|undefined/);
    const said = code === 0 && line.startsWith("generate") ? answer.stderr : `${answer.stderr}${answer.stdout}`;
    parts.push(
      `## ${title}`,
      "",
      about,
      "",
      "```",
      `$ zerogate ${line}`,
      neutral(said),
      "```",
      "",
      `Exit code ${code}.`,
      "",
    );
    rmSync(at("new"), { recursive: true, force: true });
  }
  const intro =
    "What people type by mistake, and what zerogate answers. Every answer is that of a real run: a test types each of these lines and compares this page.";
  const text = `# Mistakes\n\n${intro}\n\n${parts.join("\n").trimEnd()}\n`;
  if (process.env["ZEROGATE_WRITE_DOCS"]) writeFileSync(page, text);
  expect(readFileSync(page, "utf8")).toBe(text);
});
