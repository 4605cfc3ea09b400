/** `zerogate quickstart --pictures` with its real settings: a base that cannot see answers about pictures that it has not seen. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type Outcome, testFolder, zerogate } from "./support/cli.ts";

const FIFTEEN_MINUTES = 900_000;

const folder = testFolder();
let quickstart: Outcome;
let done: { base: { exactMatch: number }; adapter: { exactMatch: number }; samples: { images?: { path: string }[] }[] };

beforeAll(async () => {
  const words = ["quickstart", "--pictures", "--json"];
  quickstart = await zerogate(words, { cwd: folder, timeoutMs: FIFTEEN_MINUTES });
  expect(quickstart).toMatchObject({ code: 0 });
  done = quickstart.json.at(-1) as unknown as typeof done;
}, FIFTEEN_MINUTES);

test("at least 60 of 100 pictures are named with shape and colour, greedily; the base names none [V13]", () => {
  expect(done.adapter.exactMatch).toBeGreaterThanOrEqual(0.6);
  expect(done.base.exactMatch).toBe(0);
});

test("its report shows the pictures inside one file that needs no network", () => {
  const html = readFileSync(join(folder, "quickstart", "report.html"), "utf8");
  const pictures = html.match(/<img src="data:image\/png;base64,[^"]+" width="64" height="64" alt="test\/\d+\.png">/g);
  expect(pictures).toHaveLength(12);
  expect(new Set(pictures).size).toBe(12);
  expect(done.samples.map(({ images }) => images?.length)).toEqual(done.samples.map(() => 1));
  const markup = html.replaceAll(/(<script[^>]*>).*?<\/script>/gs, "$1").replaceAll(/<a\s[^>]*>/g, "");
  const sources = markup.match(/<[^>]*\s(?:src|href|srcset|action|data)=[^>]*>/g) ?? [];
  expect(sources.filter((tag) => !tag.startsWith('<img src="data:image/png;base64,'))).toEqual([]);
});

test("the adapter depends on the picture: asked about another one it gives that one's answer [V13]", async () => {
  const records = JSON.parse(readFileSync(join(folder, "quickstart-pictures", "test.json"), "utf8")) as {
    output: string;
    image: string;
  }[];
  let right = 0;
  for (const { output, image } of records.slice(0, 10)) {
    const question = ["--image", join("quickstart-pictures", image), "--instruction", "What is it?", "--json"];
    const { json } = await zerogate(["generate", "--adapter", "quickstart", ...question], { cwd: folder });
    if (json[0]?.["text"] === output) right++;
  }
  expect(right).toBeGreaterThanOrEqual(6);
});
