/** Real benchmarks, scored by us and by lm-evaluation-harness through transformers: item by item. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { testFolder } from "../support/cli.ts";
import { zerogateHere } from "../support/here.ts";
import { absentFrom, lmEvalPython } from "../support/python.ts";

const shared = (path: string) => fileURLToPath(new URL(`../../../shared/data/${path}`, import.meta.url));
const [model, data] = [shared("stories260K"), shared("mc-eval")];
const isThere = existsSync(model) && existsSync(data);
const absent = isThere
  ? absentFrom(lmEvalPython, "ZEROGATE_LM_EVAL_PYTHON", ["lm_eval", "torch", "transformers"])
  : " (skipped: shared/data is not here)";

interface Asked {
  readonly task: string;
  readonly file: string;
  readonly limit: number;
  readonly shots?: number;
  readonly examples?: string;
}

const asked: readonly Asked[] = [
  { task: "arc_easy", file: "arc_easy_validation.jsonl", limit: 30 },
  { task: "piqa", file: "piqa_validation.jsonl", limit: 30 },
  { task: "winogrande", file: "winogrande_validation.jsonl", limit: 30 },
  { task: "copa", file: "copa_validation.jsonl", limit: 30 },
  { task: "openbookqa", file: "openbookqa_validation.jsonl", limit: 30 },
  { task: "sciq", file: "sciq_validation.jsonl", limit: 20 },
  { task: "boolq", file: "boolq_validation.jsonl", limit: 20 },
  { task: "commonsense_qa", file: "commonsense_qa_validation.jsonl", limit: 20 },
  {
    task: "arc_challenge",
    file: "arc_challenge_validation.jsonl",
    limit: 20,
    shots: 2,
    examples: "arc_easy_validation.jsonl",
  },
];

interface Scored {
  readonly scores: readonly number[];
  readonly acc: number;
  readonly acc_norm?: number;
}

interface Answered {
  readonly models: { readonly base: { readonly right: Record<string, boolean>; readonly logLikelihoods: number[] } };
}

test.skipIf(absent !== "")(
  `real benchmarks have the harness's scores within 1e-4 and the same ones right [D-task-scores]${absent}`,
  async () => {
    const cwd = testFolder();
    const out = join(cwd, "harness.json");
    const script = fileURLToPath(new URL("harness.py", import.meta.url));
    const named = asked.map((one) => ({ ...one, name: one.task }));
    await promisify(execFile)(lmEvalPython, [script, model, data, out, JSON.stringify(named)], {
      cwd,
      maxBuffer: 2 ** 28,
    });
    const found = JSON.parse(readFileSync(out, "utf8")) as Record<string, { readonly items: readonly Scored[] }>;
    for (const { task, file, limit, shots = 0, examples } of asked) {
      const from = examples === undefined ? [] : ["--shots-from", join(data, examples)];
      const words = ["eval", "--model", model, "--task", `${task}=${join(data, file)}`, "--limit", String(limit)];
      const { code, stderr } = await zerogateHere(
        [...words, "--shots", String(shots), ...from, "--workers", "1", "--compute", "f32", "--out", task],
        { cwd },
      );
      expect({ code, stderr }).toMatchObject({ code: 0 });
      const lines = readFileSync(join(cwd, task, "items.jsonl"), "utf8")
        .trimEnd()
        .split("\n");
      const ours = lines.map((line) => (JSON.parse(line) as Answered).models.base);
      const expected = found[task]?.items ?? [];
      expect(ours).toHaveLength(expected.length);
      for (const [i, { scores, acc, acc_norm }] of expected.entries()) {
        const { right, logLikelihoods = [] } = ours[i] ?? {};
        const furthest = Math.max(...scores.map((score, c) => Math.abs(score - (logLikelihoods[c] ?? Infinity))));
        expect(furthest, `${task} ${i}`).toBeLessThan(1e-4);
        expect(right).toEqual({ acc: acc === 1, ...(acc_norm !== undefined && { acc_norm: acc_norm === 1 }) });
      }
    }
  },
);
