/** `zerogate generate`: for one prompt and for several, each with its adapter. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { type Outcome, testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, records, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder);
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });
const adapter = join("run", "adapter");
let trained: Outcome;

beforeAll(async () => {
  trained = await run("train", ...flags, "--out", "run", "--json");
  expect(trained).toMatchObject({ code: 0 });
});

/** The one JSON object that a command printed. */
function only({ code, json, stdout, stderr }: Outcome): Record<string, unknown> {
  expect(code, stderr).toBe(0);
  expect(stdout.split("\n")).toEqual([JSON.stringify(json[0]), ""]);
  return json[0] as Record<string, unknown>;
}

const stories = fileURLToPath(new URL("../../shared/data/stories260K", import.meta.url));
const noStories = existsSync(stories) ? "" : " (skipped: shared/data/stories260K is not on this machine)";

describe.skipIf(noStories !== "")(`generate on stories260K${noStories}`, () => {
  const reference = (): { prompt: string; greedy_ids: number[]; greedy_text: string }[] =>
    JSON.parse(readFileSync(join(stories, "reference.json"), "utf8")).cases;
  const generate = (...args: string[]) => run("generate", "--model", stories, ...args);

  test("greedy tokens are those of the reference", async () => {
    for (const { prompt, greedy_ids } of reference()) {
      const length = String(greedy_ids.length);
      const answer = only(await generate("--prompt", prompt, "--max-new-tokens", length, "--json"));
      expect(Object.keys(answer)).toEqual(["prompt", "text", "tokens", "finishReason", "tokensPerSecond"]);
      expect(answer).toMatchObject({ prompt, tokens: greedy_ids, finishReason: "length" });
    }
  });

  test("the text is the same streamed and as JSON, and ends before a stop text", async () => {
    const asked = ["--prompt", "Once upon a time", "--max-new-tokens", "40"];
    const { text } = only(await generate(...asked, "--json"));
    const streamed = await generate(...asked);
    expect(streamed).toMatchObject({ code: 0, stdout: `${String(text)}\n` });
    const stopped = only(await generate(...asked, "--stop", " She", "--json"));
    expect(stopped).toMatchObject({ text: String(text).split(" She")[0], finishReason: "stop" });
  });

  test("sampling repeats with its seed and changes with it", async () => {
    const sample = async (seed: string) => {
      const how = ["--temperature", "1", "--top-p", "0.95", "--seed", seed, "--max-new-tokens", "24", "--json"];
      return only(await generate("--prompt", "Once", ...how))["tokens"];
    };
    expect(await sample("1")).toEqual(await sample("1"));
    expect(await sample("2")).not.toEqual(await sample("1"));
  });
});

describe("generate for several prompts and adapters", () => {
  const generate = (...more: string[]) => ["generate", "--model", base, "--max-new-tokens", "12", ...more];
  const asked = records("heldout.json", 3).map(({ instruction, input }) => ({ instruction, input }));
  const one = async ({ instruction, input }: (typeof asked)[number], ...more: string[]) =>
    only(await run(...generate("--instruction", instruction, "--input", input, "--json", ...more)));

  test("--compare answers with base and adapters side by side, each as it does alone", async () => {
    writeFileSync(join(folder, "prompts.json"), JSON.stringify(asked.map((record) => ({ ...record, output: "" }))));
    const compare = ["--prompts", "prompts.json", "--compare", adapter, `${adapter}=half`];
    const { code, json } = await run(...generate(...compare, "--scale", "0.5", "--json"));
    expect([code, json.length]).toEqual([0, 3]);
    for (const [i, question] of asked.entries()) {
      const [plain, adapted] = [await one(question), await one(question, "--adapter", adapter, "--scale", "0.5")];
      const answer = ({ text, tokens, finishReason }: Record<string, unknown>) => ({ text, tokens, finishReason });
      expect(json[i]).toEqual({
        prompt: plain["prompt"],
        scale: 0.5,
        answers: [
          { adapter: null, ...answer(plain) },
          { adapter: "adapter", ...answer(adapted) },
          { adapter: "half", ...answer(adapted) },
        ],
      });
    }
    const shown = await run(...generate(...compare));
    expect(shown.stdout).toMatch(/^> .*\n\nbase ─+ {2}adapter ─+ {2}half ─+\n/);
    expect(Math.max(...shown.stdout.split("\n").map((line) => line.length))).toBe(79); // 3 · 25 + 2 · 2
  });

  test("--prompts takes one instruction a line, blank lines apart", async () => {
    writeFileSync(join(folder, "prompts.txt"), `${asked[0]?.instruction}\r\n\n${asked[1]?.instruction}\n`);
    const { json } = await run(...generate("--prompts", "prompts.txt", "--adapter", adapter, "--json"));
    const expected = await one({ instruction: asked[1]?.instruction ?? "", input: "" }, "--adapter", adapter);
    expect(json).toHaveLength(2);
    const { text, tokens, finishReason } = expected;
    expect(json[1]).toMatchObject({ answers: [{ adapter: "adapter", text, tokens, finishReason }] });
  });

  test("a scale of 0 is the base, and one outside of 0 to 1 is refused, as is more than one kind of prompt", async () => {
    const [question = { instruction: "", input: "" }] = asked;
    const [plain, none] = [await one(question), await one(question, "--adapter", adapter, "--scale", "0")];
    expect(none["tokens"]).toEqual(plain["tokens"]);
    const refused = async (...more: string[]) => {
      const { code, stderr } = await run(...generate(...more));
      expect(code).toBe(2);
      return stderr;
    };
    expect(await refused("--prompt", "a", "--scale", "1.1")).toContain(
      '--scale is "1.1", expected a number of at least 0',
    );
    expect(await refused("--prompt", "a", "--instruction", "b")).toContain("expected one of --prompt TEXT");
    writeFileSync(join(folder, "prompts.txt"), "\n \n");
    expect(await refused("--prompts", "prompts.txt")).toContain("it has no line with an instruction");
    expect(await refused("--prompts", "nowhere.txt")).toContain("Cannot read nowhere.txt");
  });
});

test("generate leaves nothing in the folder that it was called in", () => {
  const own = ["data.json", "held.json", "prompts.json", "prompts.txt", "run"];
  expect(readdirSync(folder).toSorted()).toEqual(own);
});
