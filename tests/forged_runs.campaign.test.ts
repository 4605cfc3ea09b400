/** Run directories that somebody changed, with every manifest made again: what the receipt says otherwise is not gone on from. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { ModelConfig } from "@zerogate/core";
import { adapterLayoutOn } from "@zerogate/core/formats";
import { readModelConfig } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from "../packages/run-files/src/checkpoint/checkpoint.ts";
import { chainLine, readReceipt } from "../packages/run-files/src/receipt/receipt.ts";
import { type Outcome, testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, tinyRun } from "./support/world.ts";

const cwd = testFolder();
const at = (...names: string[]) => join(cwd, ...names);
const call = (...args: string[]) => zerogateHere(args, { cwd });
const settings = { "--save-every": "1", "--eval-every": "2", "--keep-checkpoints": "9", "--workers": "1" };
/** The newest checkpoint of a run of 6 steps that was cut off. */
const STEP = 4;
let model: ModelConfig;

const train = async (out: string, changes: Readonly<Record<string, string>> = {}) => {
  const trained = await call("train", ...tinyRun(cwd, { ...settings, ...changes }), "--out", out);
  expect(trained.code, trained.stderr).toBe(0);
};

beforeAll(async () => {
  model = await readModelConfig(base);
  await train("whole");
  await train("other", { "--seed": "8" });
});

let copies = 0;
/** The run as it was after four steps: what came later is gone from the disk, the receipt as a crash leaves it. */
function cutRun(): string {
  const out = `run-${++copies}`;
  cpSync(at("whole"), at(out), { recursive: true });
  for (const name of ["checkpoints/step-5", "checkpoints/step-6", "adapter", "report.html"]) {
    rmSync(at(out, name), { recursive: true });
  }
  return out;
}

const folderOf = (out: string, step = STEP) => at(out, "checkpoints", `step-${step}`);

/** Publishes the checkpoint again as `change` makes it, under its old name, with a right manifest. */
async function forge(out: string, change: (checkpoint: Checkpoint) => Partial<Checkpoint>): Promise<void> {
  const checkpoint = await loadCheckpoint(folderOf(out), model);
  rmSync(folderOf(out), { recursive: true });
  const aside = at(`${out}-aside`);
  mkdirSync(aside, { recursive: true });
  const made = await saveCheckpoint(aside, { ...checkpoint, ...change(checkpoint) });
  renameSync(made, folderOf(out));
}

const expectRefused = async (out: string, says: string | RegExp): Promise<Outcome> => {
  const before = readdirSync(at(out, "checkpoints")).toSorted();
  const verified = await call("verify", out);
  expect(verified.code, verified.stdout + verified.stderr).toBe(3);
  const resumed = await call("resume", out);
  expect(resumed.code, resumed.stdout + resumed.stderr).toBe(3);
  expect(resumed.stderr).toMatch(says);
  expect(readdirSync(at(out, "checkpoints")).toSorted()).toEqual(before);
  expect(existsSync(at(out, "adapter"))).toBe(false);
  return verified;
};

const shifted = (numbers: Float32Array) => numbers.map((x, i) => (i === 7 ? x + 1e-3 : x));
const state = (changes: Partial<Checkpoint["state"]>) => (checkpoint: Checkpoint) => ({
  state: { ...checkpoint.state, ...changes },
});

test("a run that was only cut off goes on to the bits of the whole [T-B1]", async () => {
  const out = cutRun();
  expect((await call("verify", out)).code).toBe(0);
  const resumed = await call("resume", out);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(adapterHash(at(out))).toBe(adapterHash(at("whole")));
  expect(readFileSync(at(out, "receipt.jsonl"), "utf8")).toBe(readFileSync(at("whole", "receipt.jsonl"), "utf8"));
});

describe("a checkpoint with a right manifest is refused with", () => {
  const forgeries: [what: string, says: RegExp, change: (checkpoint: Checkpoint) => Partial<Checkpoint>][] = [
    ["other parameters", /its parameters are not those/, ({ params }) => ({ params: shifted(params) })],
    [
      "another mean",
      /its moments are not those/,
      ({ moments }) => ({ moments: { ...moments, m: shifted(moments.m) } }),
    ],
    [
      "another mean square",
      /its moments are not those/,
      ({ moments }) => ({ moments: { ...moments, v: shifted(moments.v) } }),
    ],
    [
      "means that changed places",
      /its moments are not those/,
      ({ moments }) => ({ moments: { ...moments, m: moments.v, v: moments.m } }),
    ],
    [
      "another count of updates",
      /it counts 3 updates, the receipt 4/,
      ({ moments }) => ({ moments: { ...moments, t: [3] } }),
    ],
    ["another step", /its state is that of step 5/, state({ step: 5 })],
    ["a better best", /its best validation/, state({ best: { step: 4, loss: 1e-3 } })],
    ["no best", /its best validation/, state({ best: undefined })],
    ["more patience used up", /it counts 7 validations without a gain/, state({ evaluationsWithoutGain: 7 })],
    ["a validation that it has", /it owes a validation that the receipt has/, state({ owesEvaluation: true })],
    ["a skipped step", /it skipped other steps/, state({ voided: [{ step: 1, reason: "x" }] })],
    ["another engine", /its engine is not that/, state({ engine: "reference" })],
    ["another seed", /its seed is not that/, state({ seed: 9 })],
    [
      "another version of Node",
      /its node is not that/,
      ({ state: was }) => ({ state: { ...was, versions: { ...was.versions, node: "1.2.3" } } }),
    ],
    ...(["base", "data", "tokenizer", "plan"] as const).map((name): (typeof forgeries)[number] => [
      `another ${name}`,
      new RegExp(`its ${name} is not that of the receipt`),
      ({ state: was }) => ({ state: { ...was, hashes: { ...was.hashes, [name]: "ab".repeat(32) } } }),
    ]),
    [
      "another learning rate",
      /its config is not that/,
      ({ state: was }) => ({ state: { ...was, config: { ...was.config, lr: 0.1 } } }),
    ],
    [
      "gates under tanh",
      /its adapter has another shape than its config/,
      ({ layout }) => ({ layout: adapterLayoutOn({ ...layout.shape, gateActivation: "tanh" }, layout.base) }),
    ],
  ];
  test.each(forgeries)("%s [T-B1]", async (_, says, change) => {
    const out = cutRun();
    await forge(out, change);
    await expectRefused(out, says);
  });

  test("the numbers of another step under its name [T-B1]", async () => {
    const out = cutRun();
    rmSync(folderOf(out), { recursive: true });
    cpSync(folderOf(out, 3), folderOf(out), { recursive: true });
    await expectRefused(out, /its state is that of step 3/);
  });

  test("another run's [T-B1]", async () => {
    const out = cutRun();
    rmSync(folderOf(out), { recursive: true });
    cpSync(folderOf("other"), folderOf(out), { recursive: true });
    await expectRefused(out, /has no line that step-4 knows: it is another run's, or lost its end/);
  });

  test("another run's that names the line of this one [T-B1]", async () => {
    const out = cutRun();
    const { state: own } = await loadCheckpoint(folderOf(out), model);
    const { params, moments } = await loadCheckpoint(folderOf("other"), model);
    await forge(out, () => ({ state: own, params, moments }));
    await expectRefused(
      out,
      /its parameters are not those of the receipt[\s\S]*its moments are not those of the receipt/,
    );
  });
});

test("verify notices prompts that a checkpoint says were written otherwise [T-B1]", async () => {
  const out = cutRun();
  await forge(out, ({ promptFormat }) => ({
    promptFormat: promptFormat && {
      ...promptFormat,
      template: { ...promptFormat.template, withoutInput: "{instruction}" },
    },
  }));
  const verified = await call("verify", out);
  expect(verified.code).toBe(3);
  expect(verified.stdout).toContain("WRONG step-4: its zerogate.json is not that of the run's config");
});

test("verify notices another learning rate in config.json, and a resume refuses it [T-B1]", async () => {
  const out = cutRun();
  const path = at(out, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), lr: 0.1 }));
  const verified = await call("verify", out);
  expect(verified.code).toBe(3);
  expect(verified.stdout).toContain("WRONG config.json: it is not that which the run began with");
  expect((await call("resume", out)).code).toBe(2);
});

describe("without the line that the checkpoint knows a run goes on only by consent, where the receipt", () => {
  const receiptOf = (out: string) => at(out, "receipt.jsonl");
  const linesOf = (out: string) => readFileSync(receiptOf(out), "utf8").split("\n");
  const losses: [what: string, kept: number, says: RegExp, lose: (out: string) => void][] = [
    ["is missing", 0, /receipt\.jsonl is missing/, (out) => rmSync(receiptOf(out))],
    ["is empty", 0, /receipt\.jsonl is missing/, (out) => writeFileSync(receiptOf(out), "")],
    [
      "ends before it",
      4,
      /has no line that step-4 knows/,
      (out) => writeFileSync(receiptOf(out), `${linesOf(out).slice(0, 4).join("\n")}\n`),
    ],
    [
      "is cut off in a line before it",
      4,
      /is damaged \(line 5 is cut off\) before the line/,
      (out) => truncateSync(receiptOf(out), linesOf(out).slice(0, 4).join("\n").length + 20),
    ],
    [
      "is damaged in a line before it",
      2,
      /is damaged \(line 3 is not linked to the one before\)/,
      (out) => {
        const lines = linesOf(out);
        lines[2] = lines[2]?.replace('"loss":', '"loss":1') ?? "";
        writeFileSync(receiptOf(out), lines.join("\n"));
      },
    ],
  ];
  test.each(losses)("%s [T-B1, T-E5]", async (_, kept, says, lose) => {
    const out = cutRun();
    lose(out);
    await expectRefused(out, says);
    const accepted = await call("resume", out, "--accept-change", "receipt");
    expect(accepted.code, accepted.stderr).toBe(0);
    expect(adapterHash(at(out))).toBe(adapterHash(at("whole")));
    expect(readFileSync(receiptOf(out), "utf8")).toContain('"field":"receipt"');
    expect(linesOf(out).slice(0, kept)).toEqual(linesOf("whole").slice(0, kept));
    expect(linesOf(out)[kept]).toContain('"event":"gap"');
    const verified = await call("verify", out);
    expect(verified.code, verified.stdout).toBe(kept > 0 ? 0 : 3); // what begins with a gap proves nothing
    expect(verified.stdout).toContain("it goes on from the checkpoint of 4");
    expect(verified.stdout).toContain("note  step-4: the lines before it are lost, so nothing proves its numbers");
  });

  test("is another one without the digests of moments [T-B1]", async () => {
    const out = cutRun();
    const { lines } = readReceipt(readFileSync(receiptOf(out)));
    let chain: string | undefined;
    let known = "";
    const text = lines.map((line) => {
      const { chain: _, ...body } = line;
      if (body.event === "step") delete (body as { moments?: string }).moments;
      const next = chainLine(chain, body);
      chain = next.chain;
      if (line.event === "eval" && line.step === STEP) known = chain;
      return next.text;
    });
    writeFileSync(receiptOf(out), text.join(""));
    await forge(out, ({ state: was, moments }) => ({
      state: { ...was, receipt: known },
      moments: { ...moments, m: shifted(moments.m) },
    }));
    await expectRefused(out, /the receipt has lost the digest of its moments/);
  });
});
