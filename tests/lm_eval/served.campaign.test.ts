/** lm-evaluation-harness asks a server, and its scores are those of `zerogate eval`. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startServer } from "../../packages/serve/dist/index.js";
import { testFolder } from "../support/cli.ts";
import { zerogateHere } from "../support/here.ts";
import { absentModules, python } from "../support/python.ts";

const shared = (path: string) => fileURLToPath(new URL(`../../../shared/data/${path}`, import.meta.url));
const [model, data] = [shared("stories260K"), shared("mc-eval")];
const isThere = existsSync(model) && existsSync(data);
const absent = isThere
  ? absentModules("lm_eval", "transformers", "aiohttp", "tenacity")
  : " (skipped: shared/data is not here)";
const LIMIT = 200;
const file = "arc_easy_validation.jsonl";

interface Scored {
  readonly scores: readonly number[];
  readonly acc: number;
}

test.skipIf(absent !== "")(
  `the harness's own client gets the scores of zerogate eval from a server${absent} [S-lm-eval]`,
  async () => {
    const cwd = testFolder();
    const words = ["eval", "--model", model, "--task", `arc_easy=${join(data, file)}`, "--limit", String(LIMIT)];
    const evaluated = await zerogateHere(
      [...words, "--shots", "0", "--workers", "1", "--compute", "f32", "--out", "arc"],
      {
        cwd,
      },
    );
    expect(evaluated).toMatchObject({ code: 0 });
    const lines = readFileSync(join(cwd, "arc", "items.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    const ours = lines.map((line) => JSON.parse(line).models.base);

    const server = await startServer({ model, port: 0, compute: "f32" });
    const out = join(cwd, "served.json");
    const script = fileURLToPath(new URL("served.py", import.meta.url));
    const asked = JSON.stringify([{ task: "arc_easy", file, limit: LIMIT, name: "arc" }]);
    try {
      const args = [script, server.url, server.name, model, data, out, asked];
      await promisify(execFile)(python, args, { cwd, maxBuffer: 2 ** 28 });
    } finally {
      await server.close();
    }
    const items: readonly Scored[] = JSON.parse(readFileSync(out, "utf8")).arc.items;
    expect(items).toHaveLength(LIMIT);
    for (const [i, { scores, acc }] of items.entries()) {
      const { right, logLikelihoods } = ours[i];
      const furthest = Math.max(...scores.map((score, c) => Math.abs(score - logLikelihoods[c])));
      expect(furthest, `item ${i}`).toBeLessThan(1e-4);
      expect(acc === 1, `item ${i}`).toBe(right.acc);
    }
    const share = items.filter(({ acc }) => acc === 1).length / LIMIT;
    expect(share).toBeGreaterThan(0);
    expect(new Set(items.map(({ scores }) => scores.indexOf(Math.max(...scores)))).size).toBeGreaterThan(1);
  },
);
