/** The main job with its real settings: a base that does not follow instructions, an adapter that does. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadAdapter, readModelConfig } from "@zerogate/core/node";
import { beforeAll, expect, test } from "vitest";
import { type Outcome, testFolder, zerogate } from "./support/cli.ts";
import { base, heldOutFile, records } from "./support/world.ts";

const TEN_MINUTES = 600_000;

const folder = testFolder();
const run = (...args: string[]) => zerogate(args, { cwd: folder });
let quickstart: Outcome;
let done: {
  base: { exactMatch: number; loss: number };
  adapter: { exactMatch: number; loss: number };
  samples: unknown[];
};

beforeAll(async () => {
  quickstart = await zerogate(["quickstart", "--json"], { cwd: folder, timeoutMs: TEN_MINUTES });
  expect(quickstart).toMatchObject({ code: 0 });
  done = quickstart.json.at(-1) as unknown as typeof done;
}, TEN_MINUTES);

test("quickstart teaches the base to follow instructions that it was not trained on", () => {
  expect(done).toMatchObject({ event: "done", ending: "finished", out: join(folder, "quickstart") });
  expect(done.base.exactMatch).toBeLessThanOrEqual(0.05);
  expect(done.adapter.exactMatch).toBeGreaterThanOrEqual(0.7);
  expect(done.adapter.loss).toBeLessThan(done.base.loss / 2);
  expect(done.samples.length).toBeGreaterThan(0);
});

test("its report is one file that needs no network", () => {
  const html = readFileSync(join(folder, "quickstart", "report.html"), "utf8");
  expect(html.endsWith("</html>\n")).toBe(true);
  const markup = html.replaceAll(/(<script[^>]*>).*?<\/script>/gs, "$1").replaceAll(/<a\s[^>]*>/g, "");
  // As lists: a failure shows what was found, not the page.
  expect(markup.match(/<[^>]*\s(?:src|href|srcset|action|data)=[^>]*>/g) ?? []).toEqual([]);
  expect(html.match(/@import|url\((?!["']?data:)|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\(/g) ?? []).toEqual([]);
});

test("its adapter loads as a library would load it", async () => {
  const { config, params } = await loadAdapter(join(folder, "quickstart", "adapter"), await readModelConfig(base));
  expect(config).toMatchObject({ peftType: "ADAPTION_PROMPT", inferenceMode: true });
  expect(params.every(Number.isFinite)).toBe(true);
});

test("eval counts as exact what generate really answers", async () => {
  const asked = records("heldout.json", 20);
  const adapter = join("quickstart", "adapter");
  let right = 0;
  for (const { instruction, input, output } of asked) {
    const question = ["--instruction", instruction, ...(input === "" ? [] : ["--input", input]), "--json"];
    const { json } = await run("generate", "--model", base, "--adapter", adapter, ...question);
    if (json[0]?.["text"] === output && json[0]["finishReason"] === "eos") right++;
  }
  const subset = join(folder, "subset.json");
  writeFileSync(subset, JSON.stringify(asked));
  const evaluated = await run("eval", "--model", base, "--adapter", adapter, "--data", subset, "--json");
  expect(evaluated.json[0]?.["exactMatch"]).toBe(right / asked.length);
  expect(right).toBeGreaterThan(asked.length / 2);

  const all = await run("eval", "--model", base, "--adapter", adapter, "--data", heldOutFile, "--json");
  expect(all.json[0]?.["exactMatch"]).toBe(done.adapter.exactMatch);
});

test("a second quickstart into the same folder is refused, one that names none takes the next free name", async () => {
  const next = await run("quickstart", "--steps", "12", "--json");
  expect(next.json.at(-1)).toMatchObject({ event: "done", out: expect.stringMatching(/quickstart-2$/) });
  const again = await run("quickstart", "--out", "quickstart");
  expect(again).toMatchObject({ code: 2, stdout: "" });
  expect(again.stderr).toMatch(/it holds a run: zerogate resume \S+quickstart continues it, or choose another folder/);
});
